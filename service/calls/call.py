"""One inference request, whatever its protocol: read, run, answered, its errors and its metrics.

Nothing here waits. A request goes on when something calls: the transport with its body, a thread
with what a long body says, the engine with its results.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from service import native
from service.cache import cache_key
from service.calls.addressed import Addressed
from service.calls.asked import Asked, Handler
from service.calls.exchange import Answer, Head, refusal
from service.calls.services import Services
from service.calls.shadow import compare_with
from service.codec.compression import coding_of, decompress
from service.codec.tensors import check_finite, takes_long
from service.errors import (
    ModelGoneError,
    NotFiniteInputError,
    OutOfMemoryError,
    ServiceError,
    forget_frames,
)
from service.graphs.model import Arrays
from service.schedulers.job import Job
from service.security.bodies import Holding

if TYPE_CHECKING:
    from service.telemetry.tracing import Tracing

log = structlog.get_logger(__name__)

V = TypeVar("V")


class Call(Addressed, ABC):
    """One request on its way to an answer; all methods are for the event loop.

    Args:
        services: Of the server.
        handler: Of the route.
        head: Of the request.
        request_id: Of the request, in the log and in the answer.
        trace_parent: What the request is a part of: see `read_trace_parent`; empty if it is not
            told.
    """

    def __init__(
        self,
        services: Services,
        handler: Handler,
        head: Head,
        request_id: str,
        trace_parent: str = "",
    ) -> None:
        super().__init__(services, handler, head)
        self.request_id = request_id
        self.trace_response = ""
        """For the answer's head, if the request is traced."""
        self.over = False
        self._trace_parent = trace_parent
        self._asked: Asked | None = None
        self._key = b""
        self._job: Job | None = None
        self._done: native.Job | None = None
        self.holding = Holding(services.bodies)
        """What of it is held here; the transport may hold more."""

    @abstractmethod
    def send(self, answer: Answer) -> None:
        """Send the answer; called once, unless the call is dropped before."""

    def send_error(self, error: ServiceError) -> None:
        """Send an error in the answer's place."""
        self.send(refusal(error))

    def enter(self) -> bool:
        """Whether the body is worth reading; if not, the answer is sent already."""
        try:
            self._services.engine.check_room(self.settings.request_timeout_s)
            self._find_way()
        except ServiceError as error:
            self.fail(error)
        return not self.over

    def run(self, body: Any) -> None:
        """Go on to the answer, now that the whole body is here, as the handler reads it."""
        self._take_step(self._open, body)

    def drop(self) -> None:
        """The client has left: nobody waits for it any more."""
        if not self.over:
            self._end("cancelled")
            if self._job is not None:
                self._services.engine.cancel(self._job)

    def fail(self, error: ServiceError) -> None:
        """Answer with an error, unless an answer is sent already."""
        if self.over:
            return
        if self._job is not None:
            self._services.engine.cancel(self._job)
        if error.status_code >= 500:
            log.warning(
                "request refused",
                request_id=self.request_id,
                path=self.head.path,
                code=error.code,
                error=error.message,
            )
        if isinstance(error, NotFiniteInputError) and self._served is not None:
            labels = self._served.name, self._served.version
            self._services.metrics.inputs.refused.labels(*labels).inc()
        self._end(error.code)
        self.send_error(error)

    # the way of a request

    def _take_step(self, step: Callable[[V], None], value: V) -> None:
        """Go a step further; what it raises is the answer."""
        try:
            step(value)
        except ServiceError as error:
            self.fail(error)
            forget_frames(error)
        except MemoryError as error:
            self.fail(OutOfMemoryError("there is no memory for this request"))
            forget_frames(error)
        except Exception as error:
            log.exception("request failed", request_id=self.request_id, path=self.head.path)
            self.fail(ServiceError(f"internal error; request {self.request_id}"))
            forget_frames(error)

    def _open(self, body: Any) -> None:
        """Decompress it, if need be: in a thread, for the shortest may be long."""
        coding = coding_of(self.head.content_encoding)
        if coding is None:
            self._read(body)
        else:
            max_bytes = self.settings.max_body_bytes
            self._in_thread(partial(decompress, body, coding, max_bytes), self._read_plain)

    def _read_plain(self, body: bytes) -> None:
        """Go on with what was decompressed, which may be much longer."""
        self.holding.add(len(body))
        self._read(body)

    def _read(self, body: Any) -> None:
        asked = self._handler.read(self, body)
        if isinstance(asked, Asked):
            self._submit_or_read_anew(body, asked)
        else:
            self._in_thread(asked, partial(self._submit_or_read_anew, body))

    def _submit_or_read_anew(self, body: Any, asked: Asked) -> None:
        """Submit, unless the model was replaced meanwhile: then ask what serves in its place."""
        try:
            self._submit(asked)
        except ModelGoneError:
            self._find_way()
            self._read(body)

    def _submit(self, asked: Asked) -> None:
        """Have the sequences run, unless what they give is known."""
        self._asked = asked
        served, cache = asked.served, self._services.cache
        if cache and not served.decodes:
            begun_s = time.perf_counter()
            self._key = cache_key(served, asked.work)
            held = cache.get(self._key)
            stages = served.scheduler.stages
            looked_up = stages.cache_miss if held is None else stages.cache_hit
            looked_up.add(time.perf_counter() - begun_s)
            if held is not None:
                self._answer(held)
                return
        self._job = self._services.engine.submit(
            served.scheduler, asked.work, asked.timeout_s, self._on_done, asked.priority
        )

    def _on_done(self, job: Job) -> None:
        """The engine is through with it."""
        self._job = None
        if not self.over:
            self._take_step(self._finish, job)

    def _finish(self, job: Job) -> None:
        assert self._asked is not None, "only what was read is run"
        self._done = job
        if job.failure is not None:
            raise job.failure
        results = self._asked.served.scheduler.results(job)
        self._answer(results)
        if self._services.cache and not self._asked.served.decodes:
            self._services.cache.put(self._key, results)

    def _answer(self, results: Arrays) -> None:
        assert self._asked is not None, "only what was read is run"
        asked = self._asked
        decodes = asked.served.decodes
        if asked.field and not decodes:
            check_finite(asked.served.name, results, asked.field)
        if asked.has_slow_answer or (not decodes and takes_long(results)):
            self._in_thread(lambda: asked.answer(results), partial(self._pack, results))
        else:
            self._pack(results, asked.answer(results))

    def _pack(self, results: Arrays, answer: Answer) -> None:
        """Compress the answer, if its reader wants it and it is worth it."""
        coding, succeed = self.head.accepted_coding, partial(self._succeed, results)
        if coding is not None and answer.is_worth_compressing:
            self._in_thread(partial(answer.compressed, coding), succeed)
        else:
            succeed(answer)

    def _succeed(self, results: Arrays, answer: Answer) -> None:
        assert self._asked is not None, "only what was read is answered"
        asked, answered_s = self._asked, self._end("ok")
        scheduler = asked.served.scheduler
        if self._done is not None:
            scheduler.note_answered(self._done, self.started_s, answered_s)
        else:  # from the cache
            scheduler.stages.success.add(answered_s - self.started_s)
        self.send(answer)
        if (shadow := self.routed.shadow) is not None:
            services = self._services
            compare_with(
                shadow, asked.served, asked.work, results, services.engine, services.metrics
            )

    def _end(self, outcome: str) -> float:
        """Count how it ended, `ok` or the error's code; when that was."""
        self.over = True
        self.holding.release()
        now_s = time.perf_counter()
        if self._services.tracing is not None:
            self._trace(self._services.tracing, outcome, now_s)
        traced = self.trace_response or self._trace_parent
        trace_id = native.sampled_trace_id(traced) if traced else ""
        self.tally_of(outcome).observe(now_s - self.started_s, trace_id)
        if self._served is not None and outcome != "ok":
            self._served.scheduler.stages.fail.add(now_s - self.started_s)
        return now_s

    def _trace(self, tracing: Tracing, outcome: str, now_s: float) -> None:
        """Tell of the whole request, which has ended."""
        about = self._handler.protocol, self.head.path, self.request_id
        traced = tracing.begin(*about, self._trace_parent, self.started_s)
        if traced is not None:
            self.trace_response = traced.response
            served = self._asked.served if self._asked else self._served
            traced.end(outcome, served, self._done or self._job, now_s)

    def _in_thread(self, work: Callable[[], V], then: Callable[[V], None]) -> None:
        """Go on with what takes long in a thread, so that the event loop does not stand still."""

        def go_on(worked: asyncio.Future[V]) -> None:
            then(worked.result())

        def on_worked(worked: asyncio.Future[V]) -> None:
            if not self.over:
                self._take_step(go_on, worked)
            elif not worked.cancelled():
                worked.exception()  # nobody is told: asyncio need not log it

        asyncio.get_running_loop().run_in_executor(None, work).add_done_callback(on_worked)
