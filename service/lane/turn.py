"""One request on a connection's lane: its body gathered, its answer sent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from service import native
from service.calls.asked import Asked
from service.calls.call import Call
from service.calls.exchange import Answer, request_id_of
from service.calls.services import Services
from service.codec.tensors import check_finite
from service.errors import DrainingError, NotFiniteError, OverloadedError, ServiceError
from service.lane.flow import Progress
from service.lane.heads import HotHead
from service.repository.served import Served

if TYPE_CHECKING:
    from service.lane.connection import Lane
    from service.telemetry.tracing import Traced

log = structlog.get_logger(__name__)


class Turn(Call):
    """A call on a lane.

    Args:
        lane: The connection.
        services: Of the server.
        hot: The request's head.
        given_id: The caller's own for it.
        trace_parent: What it is a part of; see `Call`.
        words: The head's bytes.
        length: Of its body, in bytes.
    """

    def __init__(
        self,
        lane: Lane,
        services: Services,
        hot: HotHead,
        given_id: bytes,
        trace_parent: str,
        words: bytes = b"",
        length: int = 0,
    ) -> None:
        super().__init__(services, hot.handler, hot.head, request_id_of(given_id), trace_parent)
        self.keep_alive = hot.keep_alive
        self.num_missing = length
        """Bytes of the body that have not come."""
        self.arriving = Progress(lane.loop.time())
        """Of its body."""
        self._lane = lane
        self._hot = hot
        self._words = words
        self._parts: list[bytes] = []
        self._body = b""
        self._is_refused = False  # which its caller is not told yet
        self.key: str | None = None
        """The name of its API key, where that is logged."""

    def begin(self, body: bytes, refusal: ServiceError | None = None) -> None:
        """Go on with what of the body came with the head; or answer this, and let the body pass."""
        if refusal is None:
            self.enter()
        else:
            self.fail(refusal)
        self.add(body)

    def add(self, part: bytes) -> None:
        """Take the next part of the body; of one that is answered already, let it pass."""
        self.num_missing -= len(part)
        self.arriving.note(len(part), self._lane.loop.time())
        if not (self.over or self._is_refused):
            self._hold(len(part))
        if self.over:
            if not self.num_missing:
                self._lane.go_on()
        elif self._is_refused:
            pass  # whoever waits for its end is told by `refuse_now`
        elif self.num_missing:
            self._parts.append(part)
        else:
            self._go_on(b"".join([*self._parts, part]) if self._parts else part)

    def _hold(self, num_bytes: int) -> None:
        try:
            self.holding.add(num_bytes)
        except ServiceError as error:
            self._parts.clear()
            self.fail(error)

    def _go_on(self, body: bytes) -> None:
        """Read the request, now that it is whole; unless it is known by heart."""
        if self._parts:
            waited_s = time.perf_counter() - self.started_s
            if self._lane.receive(self._words + body, waited_s):
                return
        self._body = body
        self.run(body)

    def _submit(self, asked: Asked) -> None:
        super()._submit(asked)
        self._lane.learn(self._words, self._hot, asked, self._body)
        self._body = b""

    def refuse(self, error: ServiceError, served: Served) -> None:
        """Answer with an error, without having read the body."""
        self._served = served
        self.fail(error)

    def fail(self, error: ServiceError) -> None:
        """Answer with an error, unless one is sent already; that there is no room, maybe later."""
        if isinstance(error, OverloadedError) and not self.over and self._lane.defer(self, error):
            self._is_refused = True
            self._parts.clear()
            self.holding.release()
        else:
            super().fail(error)

    def refuse_now(self, error: OverloadedError) -> None:
        """Answer that there is no room, unless an answer is sent already."""
        super().fail(error)

    def take_over(self, job: native.Job, served: Served) -> None:
        """Go on for a job that was submitted without this call."""
        self._served, self._done = served, job
        self.started_s = job.submitted_s - job.waited_s
        self.keep_alive = job.keep_alive

    def cancel(self, msg: object = None) -> None:
        """Have it over now: uvicorn ends what it takes for tasks when the time to stop is over."""
        error = DrainingError("the server stopped before it answered")
        self._lane.loop.call_soon(self.fail, error)

    def send(self, answer: Answer) -> None:
        """Write it."""
        self._lane.send(self, answer)
        if self.settings.access_log:
            about = {} if self.key is None else {"key": self.key}
            log.info(
                "request",
                **about,
                request_id=self.request_id,
                method="POST",
                path=self.head.path,
                status=answer.status,
                elapsed_ms=1_000 * (time.perf_counter() - self.started_s),
            )


class FastTurn:
    """A request that was taken without reading it, on its way through the engine.

    Args:
        lane: The connection.
        services: Of the server.
        hot: The request's head.
        served: The model that it asks.
        job: What runs.
    """

    num_missing = 0

    def __init__(
        self, lane: Lane, services: Services, hot: HotHead, served: Served, job: native.Job
    ) -> None:
        self.over = False
        self._lane = lane
        self._services = services
        self._hot = hot
        self._served = served
        self._job = job
        job.failure = None
        job.on_done = self._on_done

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open."""
        return self._job.keep_alive

    @keep_alive.setter
    def keep_alive(self, keep_alive: bool) -> None:
        self._job.keep_alive = keep_alive

    def drop(self) -> None:
        """The client has left: nobody waits for it any more."""
        if not self.over:
            self.over = True
            self._services.engine.cancel(self._job)
            self.as_turn().drop()

    def cancel(self, msg: object = None) -> None:
        """Have it over now: uvicorn ends what it takes for tasks when the time to stop is over."""
        error = DrainingError("the server stopped before it answered")
        self._lane.loop.call_soon(self.fail, error)

    def fail(self, error: ServiceError) -> None:
        """Answer with an error, unless an answer is sent already."""
        if not self.over:
            self.over = True
            self._lane.tasks.discard(self)  # another one is sent instead
            self._services.engine.cancel(self._job)
            self.as_turn().fail(error)

    def fail_not_finite(self) -> None:
        """Answer that there is no finite answer to one of its sequences."""
        served = self._served
        assert served.sequences is not None
        try:
            results = served.scheduler.results(self._job)
            check_finite(served.name, results, served.sequences.inputs)
        except NotFiniteError as error:
            self.fail(error)

    def begin_trace(self) -> Traced | None:
        """The request's span, which its answer is to tell of; None if it is not traced."""
        tracing, job, hot = self._services.tracing, self._job, self._hot
        assert tracing is not None, "it was looked for"
        about = hot.handler.protocol, hot.head.path, job.request_id, job.trace_parent
        traced = tracing.begin(*about, job.submitted_s - job.waited_s)
        if traced is not None:
            job.trace_response = traced.response
        return traced

    def end_trace(self, traced: Traced) -> None:
        """Tell of the whole request, which is answered."""
        traced.end("ok", self._served, self._job, time.perf_counter())

    def as_turn(self) -> Turn:
        """The same request as one that was read: what there is to say of its end, it can say."""
        job = self._job
        about = self._hot, job.request_id.encode(), job.trace_parent
        turn = Turn(self._lane, self._services, *about)
        turn.take_over(self._job, self._served)
        return turn

    def _on_done(self, job: native.Job) -> None:
        if isinstance(job.failure, ServiceError):
            self.fail(job.failure)
        elif not self.over:
            self._lane.answer(self, job)
