"""Storage that hangs, as a network share does, at the start and later: others load and serve."""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path
from shutil import which

import numpy as np

from chaos.clients import asking
from chaos.report import Report
from chaos.scenarios.drain import DELAY_S, end_under_load
from tests.any_onnx.made import linear
from tests.faults.preload import HungStorage, environment
from tests.http.scrape import Scrape
from tests.servers import REPOSITORY, Server, serving, wait_until

HUNG, OTHER, NEW = "hung", "digits-lstm", "digits-gru"
STORAGE_TIMEOUT_S = 0.5
TOLD_S = STORAGE_TIMEOUT_S + 2.5  # of a request to load what hangs, on busy cores
INPUTS = [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]


def run(report: Report) -> None:
    """Hang one model's graph at the start, let it come, hang it again, and end meanwhile."""
    if which("gcc") is None:
        report.skipped = "needs gcc"
        return
    with tempfile.TemporaryDirectory() as name:
        repository = Path(name, "repository")
        (repository / HUNG / "1").mkdir(parents=True)
        graph = repository / HUNG / "1" / "model.onnx"
        graph.write_bytes(linear(np.ones((4, 2), np.float32)).SerializeToString())
        (repository / OTHER).symlink_to(REPOSITORY / OTHER)
        storage = HungStorage(Path(name), graph)
        storage.hang()
        with (
            environment(**storage.variables),
            serving(
                repository,
                storage_timeout_s=STORAGE_TIMEOUT_S,
                poll_repository_s=0.2,
                drain_delay_s=DELAY_S,
                strict_readiness=False,
            ) as server,
            asking(server.base_url, models=[OTHER]) as clients,
        ):
            wait_until(lambda: "the last thing was" in told_of(server))
            told_s = [load_hung(report, server)]
            (repository / NEW).symlink_to(REPOSITORY / NEW)
            began_s = time.monotonic()
            wait_until(partial(is_ready, server, NEW))
            report.seen["new model served after"] = f"{time.monotonic() - began_s:.1f} s"
            load_others(report, server)
            clients.wait_right(50)

            storage.answer()
            wait_until(lambda: is_serving(server) and not told_of(server))
            storage.hang()  # which nobody has noticed yet
            told_s.append(load_hung(report, server))
            wait_until(lambda: "stands still" in told_of(server))
            load_others(report, server)
            report.require(is_serving(server), "a model whose storage hangs serves no more")
            standing = Scrape(server)("seqserve_repository_reads_standing")
            report.require(standing >= 1, "no read is said to stand still")
            clients.wait_right(50)
            report.seen["loads of it told after"] = f"{max(told_s):.1f} s at most"
            report.seen["ended after"] = f"{end_under_load(report, server, clients):.1f} s"
        report.require(not clients.tally.again, "a request to the other model was refused")
        report.seen["p99 ms of the other"] = clients.tally.p99_ms()


def load_hung(report: Report, server: Server) -> float:
    """Ask to load what can't be read; the seconds it took to be told so."""
    began_s = time.monotonic()
    response = server.client.post(f"/v2/repository/models/{HUNG}/load")
    took_s = time.monotonic() - began_s
    report.require(
        response.status_code == 503 and response.json()["code"] == "storage_hangs",
        f"load of what hangs: {response.status_code} {response.text[:200]}",
    )
    report.require(took_s < TOLD_S, f"load of what hangs told after {took_s:.1f} s")
    return took_s


def load_others(report: Report, server: Server) -> None:
    """Ask to load what can be read."""
    for model in (OTHER, NEW):
        response = server.client.post(f"/v2/repository/models/{model}/load")
        report.require(response.status_code == 200, f"load of {model}: {response.text[:200]}")


def told_of(server: Server) -> str:
    """What the index says of the model that hangs."""
    entries = server.client.post("/v2/repository/index").json()
    return "; ".join(entry["reason"] for entry in entries if entry["name"] == HUNG)


def is_ready(server: Server, model: str) -> bool:
    """Whether a model says it is."""
    return server.client.get(f"/v2/models/{model}/ready").status_code == 200


def is_serving(server: Server) -> bool:
    """Whether the model that hangs at times gives its right answer."""
    answer = server.client.post(f"/v2/models/{HUNG}/infer", json={"inputs": INPUTS})
    return answer.status_code == 200 and answer.json()["outputs"][0]["data"] == [10, 10]
