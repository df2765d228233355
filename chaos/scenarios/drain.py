"""SIGTERM under load: who heeds readiness, as a balancer does, sees nothing of it."""

from __future__ import annotations

import time

from chaos.clients import asking
from chaos.report import Report
from tests.servers import serving


def run(report: Report) -> None:
    """Stop to ask once readiness says 503; all that was asked before is answered."""
    with serving(drain_delay_s=1.5) as server:
        with asking(server.base_url, count=16) as clients:
            server.terminate()
            began_s = time.monotonic()
            while server.client.get("/v2/health/ready").status_code == 200:
                time.sleep(0.02)
            time.sleep(0.5)  # as long as a balancer takes to notice
            tally = clients.stop()
        report.count(tally)
        report.require(not tally.again, "a request was refused")
        report.require(server.wait() == 0, "it did not end well")
        report.seen["ended after"] = f"{time.monotonic() - began_s:.1f} s"
