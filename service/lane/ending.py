"""How a connection ends: its last answer says so, and no answer is lost to what the client sends.

A server that stops lets each connection ask once more, for a request may be on its way already; the
answer says that it is the last. A client may end its own half first and still wait for answers.
"""

from __future__ import annotations

import asyncio
import math
import time
from functools import partial
from typing import Any

from uvicorn._types import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGISendCallable,
    ASGISendEvent,
    Scope,
)
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from service.calls.exchange import Answer
from service.lane.fast_path import header_lines

LINGER_S, LINGER_BYTES = 1.0, 1 << 18
"""For a client to read the last answer and close, and what it may send meanwhile."""
PROBE_S = 0.25
"""After a client has ended its half; each time twice as long."""
PROBE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""Which every client passes over, wherever it comes before an answer."""


class Drain:
    """Whether a server is about to stop."""

    def __init__(self) -> None:
        self.has_begun = False
        self._since_s = math.inf

    def begin(self) -> None:
        """From now on an answer that nothing waits behind is its connection's last."""
        if not self.has_begun:
            self.has_begun, self._since_s = True, time.monotonic()

    def left_s(self, allowed_s: float) -> float:
        """What is left of a time that began with the drain."""
        return max(self._since_s + allowed_s - time.monotonic(), 0.0)


class EndingProtocol(HttpToolsProtocol):
    """uvicorn's connection, which ends without a loss."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._drain: Drain = self.app_state["drain"]
        self._running: RequestResponseCycle | None = None  # others may wait behind it
        self._in_message = False  # the parser has begun with a message that is not complete
        self._in_head = False  # of it
        self._has_eof = False
        self._has_left = False  # all is written
        self._ends = False  # with the answer that is being sent
        self._probe_s = PROBE_S

    @property
    def is_last(self) -> bool:
        """Whether an answer that is sent now is the last."""
        return (self._drain.has_begun or self._has_eof) and not self.pipeline

    @property
    def _may_have_kept_body(self) -> bool:
        """Whether a client waits to be told to send the body of the request that is answered.

        What it sends next may be that, to let it pass, or another request: nobody knows.
        """
        return (
            self.cycle is self._running and self._in_message and self.cycle.waiting_for_100_continue
        )

    @property
    def owes(self) -> bool:
        """Whether a request that came whole is not answered."""
        running = self._running
        if running is None or running.response_complete:
            return False
        return not (running is self.cycle and self._in_message)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is read or written."""
        return self._has_left or self.transport.is_closing()

    # what goes

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, partial(self._run, cycle, app))

    async def _run(
        self,
        cycle: RequestResponseCycle,
        app: ASGI3Application,
        scope: Scope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> None:
        """Have the application answer; the end of the connection is not left to uvicorn."""
        is_unframed = False

        async def send_on(message: ASGISendEvent) -> None:
            nonlocal is_unframed
            if message["type"] == "http.response.start":
                headers = dict(message.get("headers", ()))
                is_unframed = (
                    cycle.scope["http_version"] == "1.0" and b"content-length" not in headers
                )
                if is_unframed:  # HTTP/1.0 knows no chunks: such a body ends with the connection
                    cycle.chunked_encoding = False
                is_last = self.is_last or self._may_have_kept_body
                cycle.keep_alive = cycle.keep_alive and not is_last
                await send(message)
                self._ends, cycle.keep_alive = not cycle.keep_alive, True
                return
            if is_unframed and message["type"] == "http.response.body":
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, send_on)

    def on_response_complete(self) -> None:
        """End, if that answer said that it is the last."""
        if self._ends:
            self._ends = False
            self.leave()

    def refuse(self, answer: Answer) -> None:
        """Answer what did not come whole, and close; whoever reads of it is told that it ended."""
        if self.is_over:
            return
        is_answered = self.cycle is not None and self.cycle.response_complete
        if is_answered and self._in_message and not self._in_head:
            self.leave()  # a second answer would be taken for that to another request
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.tell_reader()
            if self.cycle.response_started or self.cycle is not self._running:
                self.abort()
                return
        head = (
            STATUS_LINE[answer.status],
            header_lines(tuple(self.server_state.default_headers)),
            header_lines(tuple(answer.headers)),
            b"content-length: %d\r\nconnection: close\r\n\r\n" % len(answer.body),
            answer.body,
        )
        self.transport.write(b"".join(head))
        self.leave()

    # the end

    def leave(self) -> None:
        """Close once all is sent and the client had time to read it.

        What it sent meanwhile is dropped: left unread, it would have the client told of a reset
        instead of the answer.
        """
        if self.is_over:
            return
        self._has_left = True
        if self._has_eof or not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.set_protocol(Lingering(self, self.transport, self.loop))
        self.flow.resume_reading()
        self.transport.write_eof()

    def abort(self) -> None:
        """Leave the client at once; who would answer it is told."""
        self.tell_reader()
        self.transport.abort()

    def tell_reader(self) -> None:
        """Tell whoever reads of the request under way that nothing more comes."""
        # uvicorn tells only the last request that it has read
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self.tell_reader()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends nothing more: it waits for answers, or it has left.

        Returns:
            Whether to go on. TLS has no such half.
        """
        if self.is_over or not (self.transport.can_write_eof() and self.owes):
            return False
        if not self._has_eof:
            self._has_eof = True
            self.loop.call_later(self._probe_s, self._probe)
        return True

    def close_if_done(self) -> None:
        """Close when all that a client asked is answered that sends nothing more."""
        if self._has_eof and not self.owes and not self.is_over:
            self.transport.close()

    def _probe(self) -> None:
        """Find out whether the client has left: if so, the write after this one fails."""
        if self.is_over or not self.owes:
            return
        if self.may_probe:
            self.transport.write(PROBE)
        self._probe_s *= 2
        self.loop.call_later(self._probe_s, self._probe)

    @property
    def may_probe(self) -> bool:
        """Whether something may be said before the answer."""
        running = self._running
        if running is None or running.response_complete:
            return True
        return not running.response_started and running.scope["http_version"] == "1.1"


class Lingering(asyncio.Protocol):
    """A connection whose last answer is written; what still comes is dropped.

    Args:
        protocol: That answered; told of the end.
        transport: Of the connection.
        loop: That it is on.
    """

    def __init__(
        self,
        protocol: EndingProtocol,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._protocol = protocol
        self._transport = transport
        self._left_bytes = LINGER_BYTES
        self._timer = loop.call_later(LINGER_S, transport.close)

    def data_received(self, data: bytes) -> None:
        """Drop it; of too much, the end is now."""
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            self._transport.close()

    def pause_writing(self) -> None:
        """The client does not read."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._timer.cancel()
        self._protocol.connection_lost(exc)
