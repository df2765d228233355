"""The hot routes without ASGI: uvicorn's connection, which answers these requests itself.

Exactly the plain form of the hot routes comes this way (their paths as documented, POST, no
`Expect`, no upgrade); all else goes uvicorn's ordinary way to the application, over the same
connection and in order. The handlers are those of `service/api`, so the answers are the same.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.api.calls import Services
from service.api.exchange import Answer
from service.turn import Target, Turn, target_of

MAX_URL_BYTES = 256
NOT_HERE = {b"expect", b"upgrade"}


class Lane(HttpToolsProtocol):
    """A connection that answers the hot routes itself."""

    _reading: Turn | None = None  # whose body comes now, if it is one of these
    _running: Turn | None = None
    _idle_since_s = math.inf

    def on_message_begin(self) -> None:
        """Begin a request; what an ASGI scope needs is made later, for those that need it."""
        self.url = b""
        self.headers = []
        self._reading = None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Take the request if it is a hot route's plain one, else leave it to uvicorn."""
        target = target_of(self.url) if len(self.url) <= MAX_URL_BYTES else None
        if target is not None and self.parser.get_method() == b"POST" and not self.root_path:
            fields = dict(reversed(self.headers))  # of a repeated header, the first
            services = self.app_state.get("services")
            if services is not None and not NOT_HERE & fields.keys():
                self._take(services, target, fields)
                return
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()

    def _take(self, services: Services, target: Target, fields: dict[bytes, bytes]) -> None:
        parser, before = self.parser, self.cycle
        keep_alive = parser.get_http_version() != "1.0" and parser.should_keep_alive()
        turn = Turn(self, services, target, fields, keep_alive)
        self.headers = []  # for trailers, which nobody reads
        self._reading = turn
        self.cycle = turn  # type: ignore[assignment]
        self.tasks.add(turn)  # type: ignore[arg-type]
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Begin with the request that is next, also after others that came before it."""
        if isinstance(cycle, Turn):
            self._running = cycle
            cycle.begin()
        else:
            super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """Gather the body of a hot route's request."""
        if self._reading is None:
            super().on_body(body)
        elif not self._reading.response_complete:
            self._reading.add(body)

    def on_message_complete(self) -> None:
        """The body is complete."""
        if self._reading is None:
            super().on_message_complete()
        else:
            self._reading.more_body = False
            self._reading.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop what the client waits for."""
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        for cycle, _ in self.pipeline:
            self.tasks.discard(cycle)  # it will not begin
        if self._running is not None:
            self._running.leave()

    def send(self, turn: Turn, answer: Answer) -> None:
        """Write an answer and go on with the connection's next request."""
        turn.response_complete = True
        self._running = None
        head = (
            STATUS_LINE[answer.status],
            _lines(tuple(self.server_state.default_headers)),
            _lines(tuple(answer.headers)),
            b"content-length: %d\r\nx-request-id: " % len(answer.body),
            turn.request_id.encode("ascii"),
            b"\r\n\r\n" if turn.keep_alive else b"\r\nconnection: close\r\n\r\n",
            answer.body,
        )
        self.transport.write(b"".join(head))
        if not turn.keep_alive:
            self.transport.close()
        self.on_response_complete()

    # uvicorn makes and cancels a timer a request; here one timer looks when it was idle last

    def on_response_complete(self) -> None:
        """Go on with the request that waits next, or be idle."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
            return
        self._idle_since_s = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_again_in(self.timeout_keep_alive)

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since_s = math.inf

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was idle for so long."""
        self.timeout_keep_alive_task = None
        left_s = self._idle_since_s + self.timeout_keep_alive - self.loop.time()
        if left_s <= 0:
            super().timeout_keep_alive_handler()
        elif left_s < math.inf:
            self._look_again_in(left_s)

    def _look_again_in(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )


@lru_cache(256)
def _lines(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b"".join(b"%b: %b\r\n" % header for header in headers)
