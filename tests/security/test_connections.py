"""Clients that open and do not ask, ask and do not end, or do not read: none of them stops others.

SEQSERVE_STORM is how many open connections at once; `make security` has thousands.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.http.payloads import frames, infer_body, infer_path
from tests.http.raw import Answers, RawAnswer, connect, exchange, request
from tests.servers import CHECKOUT, Server, serving, wait_until

STORM = int(os.environ.get("SEQSERVE_STORM", "700"))
MOST = 200
SHORT_S, LONG_S = 0.5, 1.0
MARGIN_S = 20.0
BODY = json.dumps(infer_body(frames(3))).encode()
HOT = request(infer_path(), BODY)
LIVE = request("/v2/health/live", method="GET")
BY_ASGI = infer_path().replace("lstm", "%6Cstm")
CHUNKED = request("/v2/repository/index", b'{"ready": true}', chunks=[4])
MIB = 1 << 20


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    limits: dict[str, Any] = {
        "keep_alive_s": SHORT_S,
        "head_timeout_s": SHORT_S,
        "transfer_timeout_s": LONG_S,
    }
    with serving(max_connections=MOST, max_header_bytes=16_384, **limits) as server:
        yield server


def until_closed(connection: socket.socket) -> tuple[list[RawAnswer], float]:
    """What comes until the server closes, and how long that takes."""
    began_s, reader = time.monotonic(), Answers()
    connection.settimeout(MARGIN_S)
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(1 << 16):
            reader.feed(data)
    return reader.answers, time.monotonic() - began_s


def num_files(server: Server) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def check_served(server: Server) -> None:
    """A client that connects now is answered."""
    with httpx.Client(base_url=server.base_url, timeout=MARGIN_S) as client:
        for _ in range(2):
            answer = client.post(infer_path(), json=infer_body(frames(3)))
            assert answer.status_code == 200


def test_any_number_of_half_open_connections_stops_no_good_client(server: Server) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(max(soft, STORM + 500), hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    beginnings = [b"", b"P", HOT[:40], HOT[:-9], CHUNKED[:-9], LIVE[:-2], b"\r\n"]
    before = num_files(server)
    with contextlib.ExitStack() as stack:
        good = stack.enter_context(httpx.Client(base_url=server.base_url, timeout=MARGIN_S))
        for index in range(min(STORM, wanted - 400)):
            connection = stack.enter_context(connect(server))
            with contextlib.suppress(ConnectionError):  # it had to make room
                connection.sendall(beginnings[index % len(beginnings)])
            if index % 100 == 99:
                check_served(server)
                assert good.get("/v2/health/ready").status_code == 200
                assert num_files(server) < before + MOST + 20
    wait_until(lambda: num_files(server) <= before + 2)
    check_served(server)


@pytest.mark.parametrize(
    ("beginning", "allowed_s", "status"),
    [
        (b"", SHORT_S, 0),
        (b"\r\n", SHORT_S, 0),
        (HOT[:40], SHORT_S, 408),
        (LIVE[:-2], SHORT_S, 408),
        (HOT[:-9], LONG_S, 408),
        (CHUNKED[:-9], LONG_S, 408),
        (LIVE + HOT[:40], SHORT_S, 408),
        (LIVE, SHORT_S, 0),
        (HOT, SHORT_S, 0),
    ],
)
def test_what_does_not_come_whole_is_refused_in_time(
    server: Server, beginning: bytes, allowed_s: float, status: int
) -> None:
    with connect(server) as connection:
        connection.sendall(beginning)
        answers, took_s = until_closed(connection)
    assert 0.5 * allowed_s < took_s < allowed_s + MARGIN_S / 2
    late = [answer for answer in answers if answer.status != 200]
    assert [answer.status for answer in late] == ([status] if status else [])
    for answer in late:
        assert json.loads(answer.body)["code"] == "request_timeout"
        assert answer.header(b"connection") == b"close"
    assert len(answers) - len(late) == beginning.count(LIVE) + beginning.count(HOT)


@pytest.mark.parametrize("whole", [HOT, CHUNKED, LIVE])
def test_a_byte_now_and_then_buys_no_time(server: Server, whole: bytes) -> None:
    ended = threading.Event()
    with connect(server) as connection:

        def drip() -> None:
            for at in range(len(whole) - 3):
                with contextlib.suppress(OSError):
                    connection.sendall(whole[at : at + 1])
                if ended.wait(0.2):
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        answers, took_s = until_closed(connection)
        ended.set()
        dripping.join()
    assert [answer.status for answer in answers] in ([408], [])  # or reset: it sent on
    assert took_s < LONG_S + MARGIN_S / 2


@pytest.mark.parametrize(
    "make",
    [
        lambda at: b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nX-A: " if at == 0 else b"a" * 999,
        lambda at: (
            b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n" if at == 0 else b"X-%d: a\r\n" % at * 50
        ),
        lambda at: b"GET /" if at == 0 else b"a" * 999,
        lambda at: b"POST /v2 HTTP/1.1\r\nX: " if at == 0 else b"a" * 999,
        lambda at: CHUNKED.removesuffix(b"\r\n") + b"X: " if at == 0 else b"a" * 999,
        lambda at: CHUNKED.partition(b"4\r\n")[0] + b"4;x=" if at == 0 else b"a" * 999,
    ],
)
def test_a_head_without_end_is_refused(server: Server, make: Callable[[int], bytes]) -> None:
    sent = 0
    with connect(server) as connection:
        with contextlib.suppress(ConnectionError):
            for at in range(1_000):
                piece = make(at)
                connection.sendall(piece)
                sent += len(piece)
                time.sleep(0.0005)
        answers, _ = until_closed(connection)
    assert sent < 800_000, "it was all taken"
    assert all(answer.status in (200, 431) for answer in answers), answers
    check_served(server)


def test_a_long_head_that_is_whole_is_refused_by_name(server: Server) -> None:
    for method in ("GET", "POST"):
        long = request(infer_path(), b"", [("X-A", "a" * 17_000)], method=method)
        (answer,) = exchange(server, [long], 1)
        assert answer.status == 431
        assert json.loads(answer.body)["code"] == "header_too_large"
        fine = request(infer_path(), BODY, [("X-A", "a" * 15_000)])
        (answer,) = exchange(server, [fine], 1)
        assert answer.status == 200


def test_who_does_not_read_is_left(server: Server) -> None:
    whole = request("/metrics", method="GET")
    before = num_files(server)
    with connect(server) as connection:
        connection.settimeout(0.5)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        num_bytes = 0
        with contextlib.suppress(TimeoutError, ConnectionError):
            while num_bytes < 64 * MIB:
                num_bytes += connection.send(100 * whole)
        assert num_bytes < 32 * MIB
        wait_until(lambda: num_files(server) <= before)


@pytest.mark.parametrize(
    "whole", [HOT, request(BY_ASGI, BODY), request(BY_ASGI, BODY, chunks=[999, 999])]
)
def test_a_slow_but_steady_sender_is_waited_for(server: Server, whole: bytes) -> None:
    """It takes three times as long as a body may stand still."""
    at = whole.index(b"\r\n\r\n") + 4
    body = whole[at:]
    size = -(-len(body) // 12)
    with connect(server) as connection:
        connection.sendall(whole[:at])
        for begin in range(0, len(body), size):
            assert not select.select([connection], [], [], LONG_S / 4)[0], "it was cut"
            connection.sendall(body[begin : begin + size])
        answers, _ = until_closed(connection)
    assert [answer.status for answer in answers] == [200]


def test_a_slow_but_steady_reader_is_waited_for(server: Server) -> None:
    whole = request("/metrics", method="GET", headers=[("Connection", "close")])
    (wanted,) = exchange(server, [whole], 1)
    many = request("/metrics", method="GET")
    count = 12 * MIB // len(wanted.body)  # more than the kernel holds
    num_bytes, began_s = 0, time.monotonic()
    with connect(server) as connection:
        sending = threading.Thread(target=lambda: connection.sendall(many * (count - 1) + whole))
        sending.start()
        reader = Answers()
        while got := connection.recv(1 << 15):
            num_bytes += len(got)
            reader.feed(got)
            if time.monotonic() - began_s < 3 * LONG_S:
                threading.Event().wait(LONG_S / 8)
        sending.join()
    assert len(reader.answers) == count
    assert time.monotonic() - began_s > 2 * LONG_S


def test_who_falls_behind_the_least_rate_is_cut(server: Server) -> None:
    """Though something comes all the time."""
    whole = request(infer_path(), BODY.ljust(1 << 16))
    at = whole.index(b"\r\n\r\n") + 4
    sent = 0
    with connect(server) as connection:
        connection.sendall(whole[:at])
        while not select.select([connection], [], [], 0.2)[0]:
            connection.sendall(whole[at + sent : at + sent + 100])  # half as fast
            sent += 100
        answers, _ = until_closed(connection)
    assert [answer.status for answer in answers] == [408]
    assert sent < 1 << 14


def test_requests_behind_others_are_answered_in_their_order(server: Server) -> None:
    kinds = [(LIVE, b"live"), (HOT, b"outputs"), (CHUNKED, b"state")]
    order = [kinds[index * index % 3] for index in range(300)]
    stream = b"".join(whole for whole, _ in order)
    for size in (len(stream), 5_000, 733):
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        answers = exchange(server, pieces, len(order))
        assert [answer.status for answer in answers] == [200] * len(order)
        for answer, (_, has) in zip(answers, order, strict=True):
            assert has in answer.body


def test_where_few_files_may_be_open_there_are_fewer_connections() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    code = (
        "import resource, sys; from service.security.files import with_files; "
        "from service.settings import Settings; "
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, int(sys.argv[1]))); "
        "most = with_files(Settings(max_connections=500)).max_connections; "
        "print(most, resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    for allowed, most, files in ((300, 44, 300), (756, 500, 756), (1_000, 500, 756)):
        told = subprocess.run(
            [sys.executable, "-c", code, str(allowed)],
            capture_output=True, text=True, check=True, cwd=CHECKOUT,
        )  # fmt: skip
        assert told.stdout.splitlines()[-1] == f"{most} {files}"
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)
