"""uvicorn's connection, which answers the hot routes itself.

A hot route's plain request (`heads.py`) that comes where no other is under way is answered here:
no ASGI, no task, head and body in one write. All else, as what is pipelined behind another route's
request, goes uvicorn's ordinary way over the same connection. Both ways use the same handlers.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sized
from typing import Any

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service import native
from service.calls.asked import Asked
from service.calls.exchange import Answer
from service.calls.services import Services
from service.lane.fast_path import FastPath, header_lines
from service.lane.heads import Heads, HotHead
from service.lane.turn import FastTurn, Turn

HEADS = Heads()


class PipelineFlow(FlowControl):
    """Reads no more while requests wait behind another: uvicorn's own lets them pile up.

    Args:
        transport: Of the connection.
        waiting: The requests that wait; they are complete, but for the last one at most.
    """

    def __init__(self, transport: asyncio.Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        """Read again, if nothing waits."""
        if not self._waiting:
            super().resume_reading()


class Lane(HttpToolsProtocol):
    """A connection that answers the hot routes itself."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._services: Services | None = self.app_state.get("services")
        self._is_tracing = self._services is not None and self._services.tracing is not None
        self._in_message = False  # the parser has begun with a message that is not complete
        self._in_head = False
        self._fast: FastPath | None = self.app_state.get("fast_path")
        self._turn: Turn | FastTurn | None = None  # under way here, or its body still comes
        self._unread = b""  # came behind its body
        self._going_on = False
        self._held = False
        self._idle_since_s = math.inf

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin with a connection."""
        super().connection_made(transport)
        self.flow = PipelineFlow(transport, self.pipeline)

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        turn = self._turn
        if isinstance(turn, Turn) and turn.num_missing:
            missing = turn.num_missing
            self._unread = data[missing:]
            turn.add(data[:missing])
            return
        self._unread = self._unread + data if self._unread else data
        if turn is None:
            self.go_on()
        else:
            self._hold()

    def go_on(self) -> None:
        """Go on with what is not read yet, unless a request is under way or nobody reads answers.

        Requests that are answered at once come back here: one round of the loop for each.
        """
        if self._turn is not None and not self._turn.num_missing and self._turn.over:
            self._turn = None
        if self._going_on:
            return
        self._going_on = True
        try:
            while self._unread and self._turn is None and not self.flow.write_paused:
                data, self._unread = self._unread, b""
                if not self.transport.is_closing():
                    self._begin(data)
        finally:
            self._going_on = False
        self._hold()

    def _hold(self) -> None:
        """Read no more while much is unread, as of a client that does not wait for answers."""
        if len(self._unread) > HIGH_WATER_LIMIT:
            self._held = True
            self.flow.pause_reading()
        elif self._held:  # uvicorn's own pauses are its own
            self._held = False
            self.flow.resume_reading()

    def _begin(self, data: bytes) -> None:
        """Begin with the request, or go on with the message, that these bytes are of."""
        services = self._services
        if (
            services is not None
            and not self._in_message
            and (self.cycle is None or self.cycle.response_complete)
        ):
            if self.receive(data):
                return
            found = HEADS.find(data)
            if found is not None and found.body_bytes <= services.settings.max_body_bytes:
                end, length = found.num_bytes, found.body_bytes
                self._idle_since_s = math.inf
                self._unread = data[end + length :]
                about = found.hot, found.request_id, found.trace_parent
                turn = Turn(self, services, *about, data[:end], length)
                self._turn = turn
                self.tasks.add(turn)  # type: ignore[arg-type]
                turn.begin(data[end : end + length])
                return
        super().data_received(data)

    def receive(self, data: bytes, waited_s: float = 0.0) -> bool:
        """Have the request run that these bytes begin with, if it is known by heart."""
        if self._fast is None or self._services is None:
            return False
        received = self._fast.receive(data, waited_s)
        if received is None:
            return False
        num_bytes, hot, served, given_id, job, refusal, trace_parent = received
        if self._turn is not None:  # which has gathered it
            self.tasks.discard(self._turn)
        self._idle_since_s = math.inf
        if len(data) > num_bytes:
            self._unread = data[num_bytes:]
        if refusal is not None:
            turn = self._turn = Turn(self, self._services, hot, given_id, trace_parent)
            turn.refuse(refusal, served)
        elif job is not None:
            self._turn = fast = FastTurn(self, self._services, hot, served, job)
            self.tasks.add(fast)  # type: ignore[arg-type]
            self._services.engine.watch(job)
        return True

    def learn(self, words: bytes, hot: HotHead, asked: Asked, body: bytes) -> None:
        """Learn what a request meant."""
        if self._fast is not None:
            self._fast.learn(words, hot, asked, body)

    def answer(self, turn: FastTurn, job: native.Job) -> None:
        """Write the answer to a request that was known by heart."""
        assert self._fast is not None, "it was"
        traced = turn.begin_trace() if self._is_tracing else None
        response = self._fast.respond(job, self.server_state.default_headers)
        if response is None:
            turn.fail_not_finite()
            return
        turn.over = True
        self._write(turn, response)
        if traced is not None:
            turn.end_trace(traced)

    def send(self, turn: Turn, answer: Answer) -> None:
        """Write an answer and go on with the connection's next request."""
        head = (
            STATUS_LINE[answer.status],
            header_lines(tuple(self.server_state.default_headers)),
            header_lines(tuple(answer.headers)),
            b"content-length: %d\r\nx-request-id: " % len(answer.body),
            turn.request_id.encode("ascii"),
            b"\r\ntraceresponse: " + turn.trace_response.encode() if turn.trace_response else b"",
            b"\r\n\r\n" if turn.keep_alive else b"\r\nconnection: close\r\n\r\n",
            answer.body,
        )
        self._write(turn, b"".join(head))

    def _write(self, turn: Turn | FastTurn, response: bytes) -> None:
        self.tasks.discard(turn)
        self.server_state.total_requests += 1
        self._be_idle()
        self.transport.write(response)
        if not turn.keep_alive:
            self.transport.close()
        self.go_on()

    def on_message_begin(self) -> None:
        """The parser begins with a message."""
        self._in_message = self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header; what trails a chunked body is none."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The parser is through with a message's head."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The parser is through with a message."""
        self._in_message = False
        super().on_message_complete()

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        self.go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop what the client waits for."""
        super().connection_lost(exc)
        self._unread = b""
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        if self._turn is not None:
            self.tasks.discard(self._turn)
            self._turn.drop()

    def shutdown(self) -> None:
        """Close the connection, once what is under way is answered."""
        if self._turn is not None and not self._turn.over:
            self._turn.keep_alive = False
        else:
            super().shutdown()

    # uvicorn makes and cancels a timer a request; here one timer looks when it was idle last

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

    def _be_idle(self) -> None:
        self._idle_since_s = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_again_in(self.timeout_keep_alive)

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since_s = math.inf

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was idle for so long."""
        self.timeout_keep_alive_task = None
        left_s = self._idle_since_s + self.timeout_keep_alive - self.loop.time()
        if self._unread:  # not idle: it waits until the client has taken an answer
            self._look_again_in(self.timeout_keep_alive)
        elif left_s <= 0:
            super().timeout_keep_alive_handler()
        elif left_s < math.inf:
            self._look_again_in(left_s)

    def _look_again_in(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )
