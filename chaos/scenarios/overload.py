"""Five times as many requests as the server can take, arriving whatever it does."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.generator import Load, Prepared, run_load, write_prepared
from chaos.clients import Clients, questions
from chaos.report import Report
from tests.servers import Server, serving

TIMES = 5
DEADLINE_S = 0.5
SECONDS = 3.0
CONNECTIONS = int(os.environ.get("OVERLOAD_CONNECTIONS", "2500"))
"""More than can be answered within the deadline, so that every fifth answer is a refusal. With
4,000, of which each asks again at once, goodput is about the goal: docs/operations.md."""
ROUNDS, LEAST_ROUNDS = 4, 3
LEAST_GOODPUT = 0.9  # of the capacity
MOST_CHANGE = 0.2  # of the capacity, in a round that counts
MOST_LATE = 0.01  # let in, and then 504
MODEL = "digits-lstm"


def run(report: Report) -> None:
    """Capacity in a closed loop and the flood, in turns.

    A round counts if the capacity before and after it are alike: else the machine had other work,
    and the two loads did not meet the same one. Of those that count, medians are judged.
    """
    with tempfile.TemporaryDirectory() as name, serving(request_timeout_s=DEADLINE_S) as server:
        path = write_prepared(Path(name, "requests"), prepared())
        capacity = [load(server, path, Load(64, SECONDS))["throughput"]]
        floods: list[dict[str, Any]] = []
        for _ in range(ROUNDS):
            rate = TIMES * capacity[-1]
            flood = Load(
                CONNECTIONS,
                SECONDS,
                warmup_s=1.0,
                rate=rate,
                deadline_s=DEADLINE_S,
                drop_when_busy=True,
            )
            watching = Watching(server)
            floods.append(load(server, path, flood))
            report.count(watching.stop())
            capacity.append(load(server, path, Load(64, SECONDS))["throughput"])
    rounds = [
        (flood, (before + after) / 2)
        for flood, before, after in zip(floods, capacity, capacity[1:], strict=False)
        if abs(before - after) <= MOST_CHANGE * max(before, after)
    ]
    statuses = {status for flood in floods for status in flood["statuses"]}
    report.require("429" in statuses, "nobody was refused: it was no overload")
    report.require(statuses <= {"200", "429", "503", "504"}, f"there were statuses {statuses}")
    report.seen |= {
        "capacity": f"{min(capacity):.0f} to {max(capacity):.0f}/s",
        "rounds that count": f"{len(rounds)} of {ROUNDS}",
        "statuses": " ".join(sorted(statuses)),
    }
    if len(rounds) < LEAST_ROUNDS:
        report.skipped = f"the machine had other work: capacity {min(capacity):.0f} to "
        report.skipped += f"{max(capacity):.0f}/s"
        return
    share = median(flood["goodput"] / limit for flood, limit in rounds)
    p99_ms = median(flood["latency_ms"]["p99"] for flood, _ in rounds)
    late = median(
        flood["statuses"].get("504", 0) / sum(flood["statuses"].values()) for flood, _ in rounds
    )
    refusals = median(flood["statuses"].get("429", 0) / SECONDS for flood, _ in rounds)
    report.seen |= {
        "refusals": f"{refusals:.0f}/s",
        "goodput / capacity": f"{share:.2f}",
        "p99 of accepted": f"{p99_ms:.0f} ms of {1_000 * DEADLINE_S:.0f}",
        "let in and late": f"{late:.2%}",
    }
    report.require(share >= LEAST_GOODPUT, f"goodput is {share:.2f} of the capacity")
    report.require(p99_ms <= 1_000 * DEADLINE_S, f"p99 of accepted requests is {p99_ms:.0f} ms")
    report.require(late <= MOST_LATE, f"{late:.1%} were let in and late")


class Watching:
    """A few clients beside the flood: answers are right, and refusals say when to come again."""

    def __init__(self, server: Server) -> None:
        self._clients = Clients(server.base_url, count=2, models=[MODEL])
        self._timer = threading.Timer(SECONDS, self._clients.stop)
        self._timer.start()

    def stop(self) -> Any:
        """What they saw."""
        self._timer.join()
        return self._clients.stop()


def prepared() -> list[Prepared]:
    """Whole HTTP requests."""
    requests = []
    for question in questions(MODEL):
        body = json.dumps({"inputs": question.inputs}).encode()
        head = (
            f"POST /v2/models/{MODEL}/infer HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Length: {len(body)}\r\n"
        )
        requests.append(Prepared(head.encode() + b"Content-Type: application/json\r\n\r\n" + body))
    return requests


def load(server: Server, path: Path, how: Load) -> dict[str, Any]:
    """Ask so."""
    host, port = server.base_url.removeprefix("http://").split(":")
    return run_load((host, int(port)), path, how)
