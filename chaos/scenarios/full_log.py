"""Nobody reads the log while bad requests flood it: good clients and the end see nothing of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from chaos.clients import asking
from chaos.report import Report
from chaos.scenarios.drain import DELAY_S, end_under_load
from tests.monitoring.unread import Unread, unread
from tests.servers import bundles_folder, wait_until

LONG = (
    b"GET /v2/models/" + b"x" * 7_000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
)
FLOODS = 4
MIN_BAD = 1_500


def run(report: Report) -> None:
    """With one process, then with two workers."""
    for workers in (1, 2):
        with (
            unread(
                bundles_folder(), workers=workers, access_log=True, drain_delay_s=DELAY_S
            ) as server,
            asking(server.base_url) as clients,
        ):
            with flooding(server) as sent:
                wait_until(lambda sent=sent: len(sent) >= MIN_BAD)  # type: ignore[misc]
                wait_until(lambda server=server: server.dropped()["full"] > 0)  # type: ignore[misc]
                clients.wait_right(100)
            dropped = server.dropped()
            took_s = end_under_load(report, server, clients)
        for reason in ("full", "often"):
            report.require(dropped[reason] > 0, f"no line is counted as dropped: {reason}")
        refused, p99_ms = clients.tally.again, clients.tally.p99_ms()
        report.require(not refused, f"a good client was refused: {dict(refused)}")
        report.require(p99_ms < 1_000, f"p99 of good clients is {p99_ms} ms")
        report.seen["one process" if workers == 1 else "two workers"] = (
            f"{len(sent)} bad requests ({int(dropped['full'])} lines dropped as full, "
            f"{int(dropped['often'])} as too often, p99 {p99_ms} ms, ended after {took_s:.1f} s)"
        )


@contextmanager
def flooding(server: Unread) -> Iterator[list[int]]:
    """Bad requests, from several at a time, within the block; the list grows with them."""
    sent: list[int] = []
    enough = threading.Event()

    def flood(seed: int) -> None:
        while not enough.is_set():
            server.send(1)  # no HTTP: a warning
            server.send(1, LONG, 404)  # a line of the access log that is long
            sent.extend([seed] * 2)

    with ThreadPoolExecutor(FLOODS) as pool:
        floods = [pool.submit(flood, seed) for seed in range(FLOODS)]
        try:
            yield sent
        finally:
            enough.set()
    for each in floods:
        each.result()
