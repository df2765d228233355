"""What a connection is given time and room for: no client holds one for ever, or all of them.

uvicorn makes and cancels a timer a request, and only for a connection that was answered; here one
timer a connection looks now and then what it waits for, and since when.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from typing import Any

import structlog
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from service.calls.exchange import Answer, refusal
from service.calls.services import Services
from service.errors import HeaderTooLargeError
from service.lane.fast_path import header_lines
from service.lane.flow import PipelineFlow, Waiting, late

log = structlog.get_logger(__name__)

ROOM_PART = 64
"""Of the connections, one in so many makes room at a time: to look at all takes long."""
TELL_S = 1.0
PIECE_BYTES = 2_048
FRAMING = 16
"""Bytes of a chunked body's framing for one of its own, at most."""


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's connection with an end to its patience."""

    tell_again_s = -math.inf
    """Of all connections: a storm of them need not be one of log lines."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._services: Services = self.app_state["services"]
        self._in_message = False  # the parser has begun with a message that is not complete
        self._in_head = False
        self._began_now = False  # with a message, in the bytes that are being read
        self._head_bytes = self._message_bytes = self._body_bytes = 0
        self._message_since_s = self._idle_since_s = self.loop.time()
        self._stalled_since_s = self._closing_since_s = math.inf
        self._was_answered = False
        self._running: RequestResponseCycle | None = None  # others may wait behind it

    # what comes

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin with a connection; if it is one too many, one that waits goes."""
        super().connection_made(transport)
        self.flow = PipelineFlow(transport, self.pipeline)
        if len(self.connections) > self._services.settings.max_connections:
            self._make_room()
        self._look_again_in(self._period_s)

    def feed(self, data: bytes) -> bytes:
        """Have uvicorn's parser read on.

        It makes much of each small request, so no more is read once one waits behind another.

        Returns:
            What is not read yet.
        """
        at = 0
        while at < len(data) and not self.transport.is_closing():
            if self.pipeline:
                return data[at:]
            self._feed_piece(data[at : at + PIECE_BYTES])
            at += PIECE_BYTES
        return b""

    def _feed_piece(self, piece: bytes) -> None:
        self._began_now = False
        super().data_received(piece)
        if self._in_message and not self._began_now and not self.transport.is_closing():
            self._message_bytes += len(piece)
            # of what the parser keeps it tells only when it is whole
            if self._message_bytes - FRAMING * self._body_bytes > self._max_header_bytes:
                self._refuse(refusal(_too_large(self._max_header_bytes)))

    def on_message_begin(self) -> None:
        """The parser begins with a message."""
        self._in_message = self._in_head = self._began_now = True
        self._head_bytes = self._message_bytes = self._body_bytes = 0
        self._message_since_s = self.loop.time()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Note a part of the URL."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header; what trails a chunked body is none."""
        self._count_head(len(name) + len(value) + 4)
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The parser is through with a message's head."""
        self._in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Note a part of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The parser is through with a message."""
        self._in_message = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser can't read, and what of it is too long."""
        if self._head_bytes > self._max_header_bytes:
            self._refuse(refusal(_too_large(self._max_header_bytes)))
        else:
            super().send_400_response(msg)

    def _count_head(self, num_bytes: int) -> None:
        self._head_bytes += num_bytes
        if self._head_bytes > self._max_header_bytes:
            raise _too_large(self._max_header_bytes)  # the parser stops, and calls it a 400

    @property
    def _max_header_bytes(self) -> int:
        return self._services.settings.max_header_bytes

    # what goes

    def pause_writing(self) -> None:
        """The client does not read."""
        self._stalled_since_s = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._stalled_since_s = math.inf
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Go on with uvicorn's request that waits next, or be idle."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self.flow.resume_reading()
            self._be_idle()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def abort(self) -> None:
        """Leave the client at once; who would answer it is told."""
        self._leave()
        self.transport.abort()

    def _leave(self) -> None:
        # uvicorn tells only the last request that it has read
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._leave()
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()

    def _be_idle(self) -> None:
        self._idle_since_s = self.loop.time()
        self._was_answered = True

    def _refuse(self, answer: Answer) -> None:
        """Answer what did not come whole, and close; whoever reads of it is told that it ended."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._leave()
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
        self.transport.close()

    # how long

    def waiting(self) -> Waiting | None:
        """What is waited for; None while it is on us."""
        settings = self._services.settings
        if self.flow.write_paused:
            return Waiting(2, self._stalled_since_s, settings.transfer_timeout_s)
        is_busy = self.cycle is not None and not self.cycle.response_complete
        if self._in_message and not self.flow.read_paused:
            if not self._in_head:
                since_s, allowed_s = self._message_since_s, settings.transfer_timeout_s
                return Waiting(2, since_s, allowed_s, "body")
            if not is_busy:
                return Waiting(0, self._message_since_s, settings.head_timeout_s, "head")
        elif self._in_message:  # it is on us that the rest does not come
            self._message_since_s = self.loop.time()
        if is_busy:
            return None
        if not self._was_answered:
            return Waiting(0, self._idle_since_s, settings.head_timeout_s)
        return Waiting(1, self._idle_since_s, settings.keep_alive_s)

    def _unset_keepalive_if_required(self) -> None:
        """Let the timer be: it looks again by itself."""

    def timeout_keep_alive_handler(self) -> None:
        """End what takes too long."""
        self.timeout_keep_alive_task = None
        now_s, left_s = self.loop.time(), self._period_s
        if self.transport.is_closing():
            self._closing_since_s = min(self._closing_since_s, now_s)
            closed_s = self._closing_since_s + self._services.settings.transfer_timeout_s
            if now_s >= closed_s:  # what was answered last is not taken
                self.abort()
                return
        elif (waiting := self.waiting()) is not None:
            left_s = min(left_s, waiting.since_s + waiting.allowed_s - now_s)
            if left_s <= 0:
                self.on_timeout(waiting)
        self._look_again_in(max(left_s, 0.0) or self._period_s)

    def on_timeout(self, waiting: Waiting) -> None:
        """End it."""
        if waiting.what:
            self._refuse(refusal(late(waiting)))
        elif self.flow.write_paused:
            self.abort()
        else:
            self.transport.close()

    @property
    def _period_s(self) -> float:
        settings = self._services.settings
        return min(settings.keep_alive_s, settings.head_timeout_s, settings.transfer_timeout_s)

    def _look_again_in(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    # how many

    def _make_room(self) -> None:
        """Close those that wait longest for nothing much; if all are busy, this one."""
        waiting: list[tuple[int, float, int, PatientProtocol]] = []
        for other in self.connections:
            if other is not self and isinstance(other, PatientProtocol):
                found = other.waiting()
                if found is not None:
                    waiting.append((found.rank, found.since_s, id(other), other))
        count = max(len(self.connections) // ROOM_PART, 1)
        going = [entry[-1] for entry in heapq.nsmallest(count, waiting)] or [self]
        now_s = self.loop.time()
        if now_s >= PatientProtocol.tell_again_s:
            PatientProtocol.tell_again_s = now_s + TELL_S
            log.warning("connections closed to make room", closed=len(going))
        for connection in going:
            self.connections.discard(connection)
            connection.abort()


def _too_large(max_header_bytes: int) -> HeaderTooLargeError:
    return HeaderTooLargeError(f"the request's head exceeds the limit of {max_header_bytes} bytes")
