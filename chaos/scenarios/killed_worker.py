"""SIGKILL of a worker under load: its connections break, and another takes its place."""

from __future__ import annotations

import os
import signal
import time
from functools import partial

from chaos.clients import asking
from chaos.report import Report
from tests.servers import Server, bundles_folder, serving, wait_until

NUM_MODELS = len(list(bundles_folder().iterdir()))


def run(report: Report) -> None:
    """Kill each of two workers once."""
    # a model that ran in both is quarantined, which is no fault of it here
    with serving(workers=2, quarantine_s=0.25, failures_expected=True) as server:
        pids = [server.wait_for_event("worker started", worker=index)["pid"] for index in (0, 1)]
        with asking(server.base_url, count=16) as clients:
            for index, pid in enumerate(pids):
                killed_s = time.monotonic()
                os.kill(pid, signal.SIGKILL)
                server.wait_for_event("worker ended", worker=index)

                wait_until(partial(has_loaded, server, index, 2 * NUM_MODELS))
                report.seen[f"worker {index} replaced after"] = (
                    f"{time.monotonic() - killed_s:.1f} s"
                )
                clients.wait_right(100)
            report.count(clients.stop())


def has_loaded(server: Server, worker: int, count: int) -> bool:
    """Whether this worker, and those before it in its place, have loaded so many models."""
    lines = (it for it in server.log.splitlines() if '"event": "model ready"' in it)
    return sum(f'"worker": {worker}' in it for it in lines) == count
