"""Whatever is refused, nothing of its body is ever read as a request of its own."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.grpc.asking import GrpcServer
from tests.http.payloads import infer_path, predict_path
from tests.http.raw import connect, request
from tests.security.keyring import Keyring

SMUGGLED = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: smuggled\r\n\r\n"
ANSWERED = b"x-request-id: smuggled"
AFTER = SMUGGLED.replace(b"smuggled", b"after").replace(
    b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"
)
HOST = b"Host: localhost\r\n"
POST = b"POST " + infer_path().encode() + b" HTTP/1.1\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
Headers = list[tuple[str, str]]


def all_of(server: GrpcServer, pieces: Iterable[bytes]) -> bytes:
    """All that comes until the server closes."""
    got = b""
    with connect(server.process) as connection, contextlib.suppress(ConnectionError):
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)
        while data := connection.recv(1 << 16):
            got += data
    return got


KINDS: Sequence[tuple[int, str, str, str, Headers]] = [
    (401, "POST", infer_path(), "", []),
    (401, "POST", infer_path("digits-%6Cstm"), "", []),
    (401, "GET", "/v2", "", []),
    (403, "POST", predict_path(), "scraper", []),
    (403, "POST", "/v2/logging", "asker", []),
    (403, "POST", infer_path(), "asker", [("Origin", "https://other.example")]),
    (404, "POST", "/nowhere", "asker", []),
    (404, "POST", infer_path("none"), "asker", []),
    (404, "GET", "/v2/models/none", "asker", []),
    (405, "PUT", infer_path(), "asker", []),
    (405, "HEAD", infer_path(), "asker", []),
    (405, "GET", infer_path(), "asker", []),
    (405, "OPTIONS", "/v2", "asker", []),
    (400, "POST", infer_path(), "asker", []),
    (400, "POST", infer_path(), "asker", [("Content-Encoding", "gzip")]),
    (415, "POST", predict_path(), "asker", [("Content-Type", "text/plain")]),
    (415, "POST", "/v2/logging", "keeper", [("Content-Type", "text/plain")]),
    (200, "GET", "/v2/health/live", "", []),
    (200, "HEAD", "/v2/health/live", "", []),
]
"""Status, method, path, caller, other headers."""


@st.composite
def refused(draw: st.DrawFn) -> tuple[int, str, bytes]:
    """A request that is refused, its caller's name in place of the key: requests are its body."""
    status, method, path, caller, headers = draw(st.sampled_from(KINDS))
    extra = draw(
        st.sampled_from(
            [[], [("Expect", "100-continue")], [("Connection", "Upgrade"), ("Upgrade", "h2c")]]
        )
    )
    chunks = draw(st.none() | st.lists(st.integers(1, 200), max_size=4))
    whole = request(
        path, SMUGGLED * draw(st.integers(1, 40)), [*headers, *extra], method=method, chunks=chunks
    )
    if chunks is not None and draw(st.booleans()):
        whole = whole[:-2] + b"X-Trailer: a\r\nHost: b\r\n\r\n"
    return status, caller, whole


def test_a_body_is_a_body_whatever_is_answered(server: GrpcServer, keyring: Keyring) -> None:
    @settings(deadline=None, max_examples=120)
    @given(refused(), st.lists(st.integers(0, 10_000), max_size=4))
    def hold(kind: tuple[int, str, bytes], cuts: list[int]) -> None:
        status, caller, whole = kind
        if caller:
            key = b"X-API-Key: " + keyring.tokens[caller].encode()
            whole = whole.replace(b"Host: localhost", b"Host: localhost\r\n" + key, 1)
        stream = whole + AFTER
        places = sorted({0, len(stream), *(cut * len(stream) // 10_000 for cut in cuts)})
        got = all_of(server, (stream[start:stop] for start, stop in pairwise(places)))
        said = got.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
        assert said.startswith(b"HTTP/1.1 %d" % status), said
        assert ANSWERED not in got
        assert b"x-request-id: after" in got or b"connection: close" in got

    hold()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v2/health/live\r\n\r\n",
        b"GET /v2/health/live HTTP/0.9\r\n\r\n",
        b"GET /v2/health/live HTTP/2.0\r\n" + HOST + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /v2/health/live HTTP/1.1\r\n\r\n",
        POST + b"Content-Length: 90\r\n\r\n",
        POST + HOST * 2 + b"Content-Length: 90\r\n\r\n",
        POST + HOST + b"HOST: other\r\nContent-Length: 90\r\n\r\n",
        POST + b"Host: a, b\r\nContent-Length: 90\r\n\r\n",
        POST + b"Host: http://localhost\r\nContent-Length: 90\r\n\r\n",
        POST + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        POST + HOST + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
        POST + HOST + b"Transfer-Encoding: chunked, chunked\r\n\r\n",
        POST + HOST + b"Transfer-Encoding: identity\r\n\r\n",
        POST + HOST + b"Transfer-Encoding: \r\n\r\n",
        POST + HOST + b"Transfer-Encoding: xchunked\r\n\r\n",
        POST.replace(b"1.1", b"1.0") + HOST + CHUNKED,
        POST + HOST + b"Content-Length: 90\r\n" + CHUNKED,
        POST + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 90\r\n\r\n",
        POST + HOST + b"Content-Length: 90\r\nContent-Length: 90\r\n\r\n",
        POST + HOST + b"Content-Length: 90, 90\r\n\r\n",
        POST + HOST + b"Content-Length : 90\r\n\r\n",
        POST + HOST + b"X: a\r\n b\r\nContent-Length: 90\r\n\r\n",
        POST + HOST + b"X: a\0\r\nContent-Length: 90\r\n\r\n",
        POST + HOST + b"X: a\rContent-Length: 90\r\n\r\n",
        POST + HOST + b"X: a\nContent-Length: 90\r\n\r\n",
        (POST + HOST + b"Content-Length: 90\r\n\r\n").replace(b"\r\n", b"\n"),
        b"GET http://other/v2/health/live HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET http://localhost@other/v2/health/live HTTP/1.1\r\n" + HOST + b"\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n",
        POST + HOST + CHUNKED + b"3 \r\nabc\r\n",
        POST + HOST + CHUNKED + b"3\nabc\n",
        POST + HOST + CHUNKED + b"0x3\r\nabc\r\n",
        POST + HOST + CHUNKED + b"3\r\nabcd\r\n",
        POST + HOST + CHUNKED + b'3;a="\n"\r\nabc\r\n',
        POST + HOST + CHUNKED + b"-1\r\n",
    ],
)
@pytest.mark.parametrize("is_open", [False, True])
def test_what_can_be_read_in_two_ways_ends_the_connection(
    server: GrpcServer, keyring: Keyring, head: bytes, is_open: bool
) -> None:
    """By who has a key too, and what may have been answered before its body was found to be bad."""
    if is_open:
        key = b"\r\nX-API-Key: " + keyring.tokens["asker"].encode() + b"\r\n"
        head = head.replace(b"\r\n", key, 1)
    got = all_of(server, [head + SMUGGLED])
    assert len(re.findall(rb"HTTP/1.1 \d", got)) == 1
    assert ANSWERED not in got
    assert got[9:12] in (b"400", b"501", b"401"), got
    assert b"connection: close" in got or b"HTTP/1.1 401" in got


@pytest.mark.parametrize("address", ["localhost", "LOCALHOST:80", "[::1]:1", "a.b-c:1", ""])
def test_a_url_of_this_server_is_a_path(server: GrpcServer, address: str) -> None:
    url = f"http://{address.lower()}/v2/health/live"
    whole = f"GET {url} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    assert all_of(server, [whole.encode()]).startswith(
        b"HTTP/1.1 200" if address else b"HTTP/1.1 400"
    )


@pytest.mark.parametrize("path", [infer_path(), infer_path("none"), "/nowhere"])
def test_who_waited_to_be_told_to_send_a_body_and_was_not_is_told_to_close(
    server: GrpcServer, path: str
) -> None:
    """It may send the body or another request: what comes next is taken for neither."""
    head = request(path, b"x" * 90, [("Expect", "100-continue")])[:-90]
    with connect(server.process) as connection:
        connection.sendall(head)
        got = connection.recv(1 << 16)
        assert got.startswith(b"HTTP/1.1 401")
        assert b"connection: close" in got
        with contextlib.suppress(ConnectionError):
            connection.sendall(AFTER)
            while data := connection.recv(1 << 16):
                got += data
    assert got.count(b"HTTP/1.1 401") == 1
    assert b"x-request-id: after" not in got


def test_an_old_client_need_not_name_the_host(server: GrpcServer) -> None:
    assert all_of(server, [b"GET /v2/health/live HTTP/1.0\r\n\r\n"]).startswith(b"HTTP/1.1 200")
