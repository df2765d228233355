"""SIGKILL of one worker after the other, those that took a dead one's place as well."""

from __future__ import annotations

import os
import signal
import time

from chaos.clients import asking
from chaos.report import Report
from chaos.scenarios.drain import DELAY_S, end_under_load
from tests.http.scrape import Scrape
from tests.servers import Server, serving, wait_until
from tests.workers.processes import is_running, started

WORKERS, SECONDS, EVERY_S, MIN_KILLS = 2, 22.0, 3.0, 4
QUARANTINE_S = 0.25  # at first: that of two dead workers a model was running is no fault of it


def run(report: Report) -> None:
    """Kill the one that has lived longest, whether another one lives or not."""
    with serving(
        workers=WORKERS,
        quarantine_s=QUARANTINE_S,
        drain_delay_s=DELAY_S,
        failures_expected=True,
    ) as server:
        wait_until(lambda: len(living(server)) == WORKERS)
        with asking(server.base_url, count=16) as clients:
            killed, num_alone = kill_again_and_again(server)
            wait_until(lambda: len(started(server)) == WORKERS + len(killed))
            clients.wait_right(200)
            counted = Scrape(server)("seqserve_worker_restarts_total")
            took_s = end_under_load(report, server, clients)
        report.require(counted == len(killed), f"{counted} restarts are counted of {len(killed)}")
        report.require(len(killed) >= MIN_KILLS, f"workers came back for {len(killed)} kills alone")
        report.seen |= {
            "workers killed": f"{len(killed)} in {SECONDS:.0f} s",
            "of them with no other alive": num_alone,
            "restarts counted": int(counted),
            "longest try that was answered": f"{max(clients.tally.latencies_s):.1f} s",
            "ended after": f"{took_s:.1f} s",
        }


def kill_again_and_again(server: Server) -> tuple[set[int], int]:
    """The process ids of the killed, and how many of these had no other beside them."""
    killed: set[int] = set()
    num_alone, began_s, last_s = 0, time.monotonic(), 0.0
    while (now_s := time.monotonic()) < began_s + SECONDS:
        candidates = [pid for pid in living(server) if pid not in killed]
        if candidates and now_s >= last_s + EVERY_S:
            os.kill(candidates[0], signal.SIGKILL)
            killed.add(candidates[0])
            num_alone += len(candidates) == 1
            last_s = now_s
        time.sleep(0.02)
    return killed, num_alone


def living(server: Server) -> list[int]:
    """Process ids of the workers that have started and live, in the order of their starts."""
    return [pid for _, pid in started(server) if is_running(pid)]
