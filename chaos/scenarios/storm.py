"""Hundreds of connections that say nothing, half a request, or a byte now and then."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from chaos.clients import asking
from chaos.report import Report
from tests.servers import Server, serving

EACH = 150
SECONDS = 6.0
HEAD = (
    b"POST /v2/models/digits-lstm/infer HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\n"
)
BEGUN = {"silent": b"", "half a head": HEAD, "half a body": HEAD + b"Content-Length: 900\r\n\r\n{"}
SLOW = HEAD + b"X-Slow: " + b"a" * 10_000


def run(report: Report) -> None:
    """Open them, feed the slow ones, and see that good clients are served as before."""
    with serving() as server:
        with asking(server.base_url) as clients:
            calm = clients.stop()
        report.count(calm)
        before = open_files(server)
        with ExitStack() as stack:
            for begun in BEGUN.values():
                for _ in range(EACH):
                    connect(stack, server).sendall(begun)
            slow = [connect(stack, server) for _ in range(EACH)]
            with asking(server.base_url) as clients:
                began_s, sent = time.monotonic(), 0
                while time.monotonic() - began_s < SECONDS:
                    for connection in slow:
                        with suppress(OSError):  # the server may have had enough of it
                            connection.sendall(SLOW[sent : sent + 1])
                    sent += 1
                    time.sleep(0.2)
                tally = clients.stop()
            most = open_files(server)
        report.count(tally)
        report.require(not tally.again, "a good client was refused")
        report.require(tally.p99_ms() < 1_000, f"p99 of good clients is {tally.p99_ms()} ms")
        time.sleep(0.5)
        left = open_files(server) - before
        report.require(left <= 2, f"{left} files are left open")
        report.seen |= {
            "bad connections": 4 * EACH,
            "open files meanwhile": most,
            "left open": left,
            "p99 ms before": calm.p99_ms(),
            "p99 ms in the storm": tally.p99_ms(),
        }


def connect(stack: ExitStack, server: Server) -> socket.socket:
    """A connection, closed at the end."""
    host, port = server.base_url.removeprefix("http://").split(":")
    return stack.enter_context(socket.create_connection((host, int(port)), timeout=10.0))


def open_files(server: Server) -> int:
    """Of the server's process."""
    return len(list(Path("/proc", str(server.process.pid), "fd").iterdir()))
