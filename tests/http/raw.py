"""Requests as bytes on a connection, and the answers that come back over it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import httptools
import httpx
import numpy as np

from tests.servers import Server

TIMEOUT_S = 60.0


class RawAnswer(NamedTuple):
    """One answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> bytes:
        return next((value for key, value in self.headers if key == name), b"")


class Answers:
    """Reads answers off a connection."""

    def __init__(self) -> None:
        self.answers: list[RawAnswer] = []
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status != 100:  # only says that the body may come
            self.answers.append(RawAnswer(status, self._headers, self._body))


def connect(server: Server) -> socket.socket:
    url = httpx.URL(server.base_url)
    assert url.port is not None
    connection = socket.create_connection((url.host, url.port), timeout=TIMEOUT_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def request(
    path: str,
    body: bytes = b"",
    headers: Sequence[tuple[str, str]] = (("Content-Type", "application/json"),),
    *,
    method: str = "POST",
    http: str = "1.1",
    chunks: Sequence[int] | None = None,
) -> bytes:
    """A request; with `chunks`, its body in chunks of these sizes and the rest in one more."""
    lines = [f"{method} {path} HTTP/{http}", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in headers]
    if chunks is None:
        lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body
    lines.append("Transfer-Encoding: chunked")
    head = "\r\n".join([*lines, "", ""]).encode()
    return head + b"".join(_chunked(body, chunks))


def _chunked(body: bytes, sizes: Sequence[int]) -> Iterable[bytes]:
    for size in [*sizes, len(body)]:
        piece, body = body[:size], body[size:]
        if piece:
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def exchange(server: Server, pieces: Iterable[bytes], wanted: int) -> list[RawAnswer]:
    """Send these pieces one by one and read until so many answers came, or the server closes."""
    reader = Answers()
    with connect(server) as connection:
        for piece in pieces:
            connection.sendall(piece)
        while len(reader.answers) < wanted:
            data = connection.recv(1 << 16)
            if not data:
                break
            reader.feed(data)
    return reader.answers


def comparable(answer: RawAnswer) -> tuple[int, Any, Any, bytes]:
    """What does not differ from one second or request to the next, nor by who wrote the numbers.

    Returns:
        Status, headers, the document (each output's numbers as float32s), binary tensors.
    """
    headers = [
        (name, b"" if name.endswith(b"content-length") else value)
        for name, value in answer.headers
        if name != b"date" and not (name == b"x-request-id" and len(value) == 32)  # a new one
    ]
    assert len(answer.body) == int(answer.header(b"content-length"))
    length = int(answer.header(b"inference-header-content-length") or len(answer.body))
    if answer.header(b"content-type").startswith(b"text/"):
        return answer.status, headers, answer.body, b""
    document = json.loads(answer.body[:length])
    for output in document.get("outputs", ()):
        if "data" in output:
            output["data"] = np.array(output["data"], dtype=np.float32).tobytes()
    return answer.status, headers, document, answer.body[length:]
