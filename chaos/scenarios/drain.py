"""SIGTERM under load: who heeds readiness, as a balancer does, sees nothing of it."""

from __future__ import annotations

import time

from chaos.clients import Clients, asking
from chaos.report import Report
from tests.monitoring.unread import Unread
from tests.servers import STOP_S, Server, serving

DELAY_S = 1.5
MOST_S = DELAY_S + 3.0


def run(report: Report) -> None:
    """Stop to ask once readiness says 503; all that was asked before is answered."""
    with serving(drain_delay_s=DELAY_S) as server:
        with asking(server.base_url, count=16) as clients:
            took_s = end_under_load(report, server, clients)
        report.require(not clients.tally.again, "a request was refused")
        report.seen["ended after"] = f"{took_s:.1f} s"


def end_under_load(report: Report, server: Server | Unread, clients: Clients) -> float:
    """Send SIGTERM while clients ask, which stop to ask when the server is no longer ready.

    Args:
        report: Takes in what the clients saw.
        server: With a `drain_delay_s` of `DELAY_S`.
        clients: Of the server.

    Returns:
        The seconds until it had ended.
    """
    server.process.terminate()
    began_s = time.monotonic()
    while server.client.get("/v2/health/ready").status_code == 200:
        time.sleep(0.02)
    time.sleep(0.5)  # as long as a balancer takes to notice
    report.count(clients.stop())
    code = server.process.wait(STOP_S)
    took_s = time.monotonic() - began_s
    report.require(code == 0, f"it did not end well: {code}")
    report.require(took_s < MOST_S, f"it ended only after {took_s:.1f} s")
    return took_s
