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

from service.calls.exchange import refusal
from service.lane.flow import Outgoing, PipelineFlow, Progress, Waiting, late
from service.lane.reading import ReadingProtocol

log = structlog.get_logger(__name__)

ROOM_PART = 64
"""Of the connections, one in so many makes room at a time: to look at all takes long."""
TELL_S = 1.0


class PatientProtocol(ReadingProtocol):
    """uvicorn's connection with an end to its patience."""

    tell_again_s = -math.inf
    """Of all connections: a storm of them need not be one of log lines."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._idle_since_s = self.loop.time()
        self._was_answered = False
        self._going: Outgoing | None = None  # while the client does not read
        self._ends_at_s: float | None = None  # once the server stops, unless it asks something

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin with a connection; if it is one too many, one that waits goes."""
        super().connection_made(transport)
        self.flow = PipelineFlow(transport, self.pipeline)
        if len(self.connections) > self._services.settings.max_connections:
            self._make_room()
        self._look_again_in(self._period_s)

    def pause_writing(self) -> None:
        """The client does not read."""
        self._going = Outgoing(self.transport, self.loop.time())
        super().pause_writing()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._going = None
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Go on with uvicorn's request that waits next, or be idle."""
        self.server_state.total_requests += 1
        super().on_response_complete()
        if self.is_over:
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self.flow.resume_reading()
            self._be_idle()
            if self._ends_at_s is not None:  # it began before the stop, and did not say so
                self._end_in(self._services.settings.idle_drain_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()

    def shutdown(self) -> None:
        """The server stops: an idle connection may ask once more, if it does so soon."""
        self._drain.begin()
        self._end_in(self._drain.left_s(self._services.settings.idle_drain_s))

    def _end_in(self, seconds: float) -> None:
        self._ends_at_s = self.loop.time() + seconds
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        self._look_again_in(seconds)

    def _be_idle(self) -> None:
        self._idle_since_s = self.loop.time()
        self._was_answered = True

    # how long

    def waiting(self) -> Waiting | None:
        """What is waited for; None while it is on us."""
        settings, now_s = self._services.settings, self.loop.time()
        if self._going is not None:
            return self._going.waiting(settings, now_s)
        is_busy = self.cycle is not None and not self.cycle.response_complete
        if self._in_message and not self.flow.read_paused:
            if not self._in_head:
                return self._arriving.waiting(settings, "body")
            if not is_busy:
                return Waiting(0, self._message_since_s, settings.head_timeout_s, "head")
        elif self._in_message:  # it is on us that the rest does not come
            self._message_since_s, self._arriving = now_s, Progress(now_s)
        if is_busy:
            return None
        since_s = self._idle_since_s
        if self._ends_at_s is not None:
            return Waiting(1, since_s, self._ends_at_s - since_s)
        if not self._was_answered:
            return Waiting(0, since_s, settings.head_timeout_s)
        return Waiting(1, since_s, settings.keep_alive_s)

    def _unset_keepalive_if_required(self) -> None:
        """Let the timer be: it looks again by itself."""

    def timeout_keep_alive_handler(self) -> None:
        """End what takes too long."""
        self.timeout_keep_alive_task = None
        now_s, left_s = self.loop.time(), self._period_s
        if self.is_over and self._going is None:
            self._going = Outgoing(self.transport, now_s)
        if (waiting := self.waiting()) is not None:
            left_s = min(left_s, waiting.since_s + waiting.allowed_s - now_s)
            if left_s <= 0:
                self.on_timeout(waiting)
        self._look_again_in(max(left_s, 0.0) or self._period_s)

    def on_timeout(self, waiting: Waiting) -> None:
        """End it."""
        if waiting.what:
            self.refuse(refusal(late(waiting)))
        elif self._going is not None:
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
