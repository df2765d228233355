"""uvicorn's connection, which answers the hot routes itself.

A hot route's plain request (`heads.py`) that comes where no other is under way is answered here:
no ASGI, no task, head and body in one write. All else, as what is pipelined behind another route's
request, goes uvicorn's ordinary way over the same connection. Both ways use the same handlers.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service import native
from service.calls.asked import Asked
from service.calls.exchange import Answer
from service.calls.services import Services
from service.errors import OverloadedError, ServiceError
from service.lane.fast_path import FastPath, header_lines
from service.lane.flow import Waiting, late
from service.lane.heads import FoundHead, Heads, HotHead
from service.lane.patience import PatientProtocol
from service.lane.refusals import Refusals
from service.lane.turn import FastTurn, Turn
from service.security.bodies import Holding
from service.security.gate import Gate, Permit
from service.security.keys import Scope


class Lane(PatientProtocol):
    """A connection that answers the hot routes itself."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._is_tracing = self._services.tracing is not None
        self._fast: FastPath | None = self.app_state.get("fast_path")
        self._heads: Heads = self.app_state["heads"]
        self._refusals: Refusals = self.app_state["refusals"]
        self._gate: Gate | None = self.app_state.get("gate")
        self._permit: Permit | None = None  # of the request under way here
        self._logs_keys = self._gate is not None and self._services.settings.access_log
        self._holding = Holding(self._services.bodies)  # of what was known by heart
        self._unread_holding = Holding(self._services.bodies)  # of what is much
        self._turn: Turn | FastTurn | None = None  # under way here, or its body still comes
        self._unread = b""  # came behind its body
        self._going_on = False
        self._held = False

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
            while self._unread and self._may_begin:
                data, self._unread = self._unread, b""
                if not self.is_over:
                    self._begin(data)
        finally:
            self._going_on = False
        self._hold()
        self.close_if_done()

    @property
    def _may_begin(self) -> bool:
        return self._turn is None and not self.pipeline and not self.flow.write_paused

    def _hold(self) -> None:
        """Read no more while much is unread, as of a client that does not wait for answers."""
        if len(self._unread) > HIGH_WATER_LIMIT:
            self._held = True
            self.flow.pause_reading()
            self._unread_holding.release()
            try:
                self._unread_holding.add(len(self._unread))
            except ServiceError:  # one of many such
                self.abort()
        elif self._held:  # uvicorn's own pauses are its own
            self._held = False
            self._unread_holding.release()
            self.flow.resume_reading()

    def _begin(self, data: bytes) -> None:
        """Begin with the request, or go on with the message, that these bytes are of."""
        services = self._services
        if not self._in_message and (self.cycle is None or self.cycle.response_complete):
            found, refusal = None, None
            if self._gate is not None:
                found = self._find(data, services)
                refusal = found and self._let_in(found, self._gate)
            if self._gate is None or (found is not None and refusal is None):
                if self.receive(data):
                    return
                found = found or self._find(data, services)
            if found is not None:
                end, length = found.num_bytes, found.body_bytes
                self._unread = data[end + length :]
                about = found.hot, found.request_id, found.trace_parent
                turn = Turn(self, services, *about, data[:end], length)
                if self._logs_keys and self._gate is not None:
                    turn.key = self._gate.name_of(found.credentials)
                self._turn = turn
                self.tasks.add(turn)  # type: ignore[arg-type]
                turn.begin(data[end : end + length], refusal)
                return
        self._unread = self.feed(data) + self._unread

    def _find(self, data: bytes, services: Services) -> FoundHead | None:
        """The head that these bytes begin with, if its request is answered here."""
        found = self._heads.find(data)
        if found is None or found.body_bytes > services.settings.max_body_bytes:
            return None
        return found

    def _let_in(self, found: FoundHead, gate: Gate) -> ServiceError | None:
        """Why this request may not go on, by its own key; never by what is known of its head."""
        try:
            self._permit = gate.admit(found.credentials, Scope.INFER)
        except ServiceError as error:
            return error
        return None

    def _give_back(self) -> None:
        self._holding.release()
        if self._permit is not None:
            self._permit.release()
            self._permit = None

    def receive(self, data: bytes, waited_s: float = 0.0) -> bool:
        """Have the request run that these bytes begin with, if it is known by heart."""
        if self._fast is None:
            return False
        if not self._services.bodies.has_room(len(data)):
            return False  # worded where it is read
        received = self._fast.receive(data, waited_s)
        if received is None:
            return False
        num_bytes, hot, served, given_id, job, refusal, trace_parent = received
        if isinstance(self._turn, Turn):  # which has gathered it
            self.tasks.discard(self._turn)
            self._turn.holding.release()
        self._holding.force(num_bytes)
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

    def defer(self, turn: Turn, error: OverloadedError) -> bool:
        """Whether the caller of the request under way is told only later that there is no room."""
        if turn is not self._turn or not self._refusals.defer(turn, error):
            return False
        self._give_back()
        self.tasks.add(turn)  # type: ignore[arg-type]
        return True

    @property
    def is_last(self) -> bool:
        """Whether an answer that is sent now is the last."""
        return (self._drain.has_begun or self._has_eof) and not self._unread and super().is_last

    @property
    def owes(self) -> bool:
        """Whether a request that came whole is not answered."""
        turn = self._turn
        if turn is not None and not (turn.over and not turn.num_missing):
            return not turn.num_missing
        return super().owes or bool(self._unread and self.flow.write_paused)

    def answer(self, turn: FastTurn, job: native.Job) -> None:
        """Write the answer to a request that was known by heart."""
        assert self._fast is not None, "it was"
        traced = turn.begin_trace() if self._is_tracing else None
        if self.is_last:
            job.keep_alive = False
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
        turn.keep_alive = turn.keep_alive and not self.is_last
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
        self._give_back()
        self.server_state.total_requests += 1
        self._be_idle()
        self.transport.write(response)
        if not turn.keep_alive:
            self._unread = b""
            self.leave()
        self.go_on()

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        self.go_on()

    def on_response_complete(self) -> None:
        """Go on with what came behind uvicorn's request."""
        super().on_response_complete()
        self.go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop what the client waits for."""
        super().connection_lost(exc)
        self._unread = b""
        self._unread_holding.release()
        if self._turn is not None:
            self.tasks.discard(self._turn)
            self._turn.drop()
        self._give_back()

    def waiting(self) -> Waiting | None:
        """What is waited for; None while it is on us."""
        turn = self._turn
        if turn is None or (turn.over and not turn.num_missing) or self._going is not None:
            return super().waiting()
        if isinstance(turn, Turn) and turn.num_missing:
            return turn.arriving.waiting(turn.settings, "body")
        return None

    def on_timeout(self, waiting: Waiting) -> None:
        """End it."""
        turn = self._turn
        if isinstance(turn, Turn) and turn.num_missing and self._going is None:
            turn.keep_alive = False
            turn.fail(late(waiting))
            self.leave()  # where it was answered before
        else:
            super().on_timeout(waiting)
