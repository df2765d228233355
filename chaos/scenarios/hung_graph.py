"""A graph that never ends, and one that hears nothing while it computes: both are quarantined."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from chaos.clients import asking
from chaos.report import Report
from tests.faults.asking import ask
from tests.faults.made import POISON, deaf, looping, write_faulty
from tests.servers import REPOSITORY, Server, serving, wait_until

MAX_HANG_S, QUARANTINE_S = 1.0, 2.0


def run(report: Report) -> None:
    """Poison both models while clients ask another one."""
    with tempfile.TemporaryDirectory() as name:
        folder = write_faulty(Path(name), deaf=deaf(), looping=looping())
        (folder / "digits-lstm").symlink_to(REPOSITORY / "digits-lstm")
        with (
            serving(
                folder, max_hang_s=MAX_HANG_S, quarantine_s=QUARANTINE_S, engine_threads=2
            ) as server,
            asking(server.base_url) as clients,
            ThreadPoolExecutor(2) as pool,
        ):
            for model, value in (("looping", POISON), ("deaf", 4_500.0)):
                began_s = time.monotonic()
                answer = pool.submit(ask, server, model, value).result()
                told_s = time.monotonic() - began_s
                report.require(
                    answer.status_code == 503 and "Retry-After" in answer.headers,
                    f"{model}: {answer.status_code} {answer.text}",
                )
                report.require(not is_ready(server, model), f"{model} seems ready")
                healthy = server.client.get("/v2/health/ready").status_code == 200
                report.require(healthy, "the server is not ready")
                wait_until(partial(is_ready, server, model))
                again_s = time.monotonic() - began_s
                good = ask(server, model)
                report.require(good.status_code == 200, f"{model} serves no more: {good.text}")
                clients.wait_right(50)
                report.seen[f"{model}: told after"] = f"{told_s:.1f} s"
                report.seen[f"{model}: serves again after"] = f"{again_s:.1f} s"
            tally = clients.stop()
        report.count(tally)
        report.require(not tally.again, "a request to the other model was refused")
        report.seen["p99 ms of the other"] = tally.p99_ms()


def is_ready(server: Server, model: str) -> bool:
    """Whether a model says it is."""
    return server.client.get(f"/v2/models/{model}/ready").status_code == 200
