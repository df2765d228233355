"""A real HTTP/1.1 server that answers as its path says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Echoes bodies: `/length`, `/chunked`, `/close`, `/vanish`, `/status/<n>`; `/never` waits."""

    protocol_version = "HTTP/1.1"
    server: AnsweringServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.path.split("/")[1]
        if kind == "never":
            self.server.closing.wait()
            self.close_connection = True
            return
        self.send_response(int(self.path.split("/")[2]) if kind == "status" else 200)
        if kind == "chunked":
            self._answer_in_chunks(body)
            return
        self.send_header("Content-Length", str(len(body)))
        if kind == "close":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        if kind == "vanish":
            self.close_connection = True

    def _answer_in_chunks(self, body: bytes) -> None:
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        sizes = iter(range(1, len(body) + 1))
        while body:
            chunk, body = body[: (size := next(sizes) ** 2)], body[size:]
            self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base's name)
        pass


class AnsweringServer(ThreadingHTTPServer):
    """On a free port of 127.0.0.1."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.closing = threading.Event()

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.server_port


@contextmanager
def answering() -> Iterator[AnsweringServer]:
    server = AnsweringServer()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
