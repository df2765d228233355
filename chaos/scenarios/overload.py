"""Five times as many requests as the server can take, arriving whatever it does."""

from __future__ import annotations

import json
import tempfile
import threading
from pathlib import Path
from typing import Any

from benchmarks.generator import Load, Prepared, run_load, write_prepared
from chaos.clients import Clients, questions
from chaos.report import Report
from tests.servers import Server, serving

TIMES = 5
DEADLINE_S = 0.5
SECONDS = 6.0
LEAST_GOODPUT = 0.9  # of the capacity
MODEL = "digits-lstm"


def run(report: Report) -> None:
    """Capacity in a closed loop, then the flood, twice each."""
    with tempfile.TemporaryDirectory() as name, serving(request_timeout_s=DEADLINE_S) as server:
        path = write_prepared(Path(name, "requests"), prepared())
        capacity: list[float] = []
        floods: list[dict[str, Any]] = []
        for _ in range(2):
            capacity.append(load(server, path, Load(64, SECONDS))["throughput"])
            rate = TIMES * capacity[-1]
            flood = Load(
                1_000, SECONDS, warmup_s=1.0, rate=rate, deadline_s=DEADLINE_S, drop_when_busy=True
            )
            watching = Watching(server)
            floods.append(load(server, path, flood))
            report.count(watching.stop())
    shares = [flood["goodput"] / limit for flood, limit in zip(floods, capacity, strict=True)]
    statuses = {status for flood in floods for status in flood["statuses"]}
    p99_ms = max(flood["latency_ms"]["p99"] for flood in floods)
    report.seen |= {
        "capacity": f"{min(capacity):.0f} to {max(capacity):.0f}/s",
        "goodput / capacity": " and ".join(f"{share:.2f}" for share in shares),
        "p99 of accepted": f"{p99_ms:.0f} ms of {1_000 * DEADLINE_S:.0f}",
        "statuses": " ".join(sorted(statuses)),
    }
    report.require(max(shares) >= LEAST_GOODPUT, f"goodput is {shares} of the capacity")
    report.require(p99_ms <= 1_000 * DEADLINE_S, f"p99 of accepted requests is {p99_ms:.0f} ms")
    report.require(statuses <= {"200", "429", "503"}, f"there were statuses {statuses}")


class Watching:
    """A few clients beside the flood: answers are right, and refusals say when to come again."""

    def __init__(self, server: Server) -> None:
        self._clients = Clients(server.base_url, count=8, models=[MODEL])
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
            f"POST /v2/models/{MODEL}/infer HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n"
        )
        requests.append(Prepared(head.encode() + b"Content-Type: application/json\r\n\r\n" + body))
    return requests


def load(server: Server, path: Path, how: Load) -> dict[str, Any]:
    """Ask so."""
    host, port = server.base_url.removeprefix("http://").split(":")
    return run_load((host, int(port)), path, how)
