"""The wall clock jumps a day ahead, then back: nothing that waits or expires goes by it."""

from __future__ import annotations

import struct
import tempfile
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path

from chaos.clients import asking
from chaos.report import Report
from tests.faults.preload import environment, preload
from tests.servers import Server, serving, wait_until

SOURCE = Path(__file__).parent.parent / "stepped_clock.c"
JUMPS = (timedelta(days=1), timedelta(days=-1), timedelta(0))


def run(report: Report) -> None:
    """Step the clock that the server's process sees, as NTP or a hand does."""
    with tempfile.TemporaryDirectory() as name:
        library, ahead = Path(name, "clock.so"), Path(name, "ahead")
        preload(SOURCE, library)
        ahead.write_bytes(bytes(8))
        with (
            environment(LD_PRELOAD=str(library), STEPPED_CLOCK=str(ahead)),
            serving(request_timeout_s=5, poll_repository_s=0.2) as server,
            asking(server.base_url) as clients,
        ):
            began = now(server)
            for jump in JUMPS:
                with ahead.open("r+b") as file:
                    file.write(struct.pack("l", int(jump.total_seconds())))
                wait_until(partial(is_about, server, began + jump))
                clients.wait_right(300)
            tally = clients.stop()
    report.count(tally)
    report.require(not tally.again, "a request was refused")
    report.seen |= {"jumps": "+1 day, -2 days, +1 day", "p99 ms": tally.p99_ms()}


def now(server: Server) -> datetime:
    """As the server believes."""
    return parsedate_to_datetime(server.client.get("/v2").headers["date"])


def is_about(server: Server, moment: datetime) -> bool:
    """Whether the server believes so."""
    return abs(now(server) - moment) < timedelta(minutes=5)
