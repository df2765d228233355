"""The hot routes without ASGI: uvicorn's connection, which answers these requests itself.

Exactly the plain form of the hot routes comes this way (their paths as documented, POST, no
`Expect`, no upgrade); all else goes uvicorn's ordinary way to the application, over the same
connection and in order. The handlers are those of `service/api`, so the answers are the same.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Awaitable, Coroutine
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.api.calls import Handler, Services, respond
from service.api.exchange import Answer, Exchange, refusal, request_id_of
from service.api.predict import PREDICT
from service.api.v2 import INFER
from service.errors import CallerGoneError, DrainingError, PayloadTooLargeError

log = structlog.get_logger(__name__)

T = TypeVar("T")

MAX_URL_BYTES = 256
# unreserved characters alone: what must be decoded goes the ordinary way
PATHS = re.compile(
    rb"/v2/models/([\w.~-]+)(?:/versions/([\w.~-]+))?/infer()(?:\?([!-~]*))?"
    rb"|/v1/models/([\w.~-]+)()/predict()(?:\?([!-~]*))?"
)
NOT_HERE = {b"expect", b"upgrade"}


class Target(NamedTuple):
    """What a URL asks for."""

    handler: Handler
    path: str
    name: str
    version: str | None
    query: bytes


@lru_cache(1_024)
def target_of(url: bytes) -> Target | None:
    """The hot route that a URL asks for, if it is one's plain form."""
    found = PATHS.fullmatch(url)
    if found is None or b"#" in url:
        return None
    path = url.partition(b"?")[0].decode("ascii")
    name, version, _, query, *v1 = found.groups()
    handler = INFER
    if name is None:
        handler = PREDICT
        name, version, _, query = v1
    return Target(handler, path, name.decode(), version.decode() if version else None, query or b"")


class Turn(Exchange):
    """One request on a connection, where uvicorn has its own cycle of request and response.

    Its plain attributes are those by which uvicorn queues cycles, wakes them and lets them end.
    """

    def __init__(
        self,
        lane: Lane,
        services: Services,
        target: Target,
        fields: dict[bytes, bytes],
        keep_alive: bool,
    ) -> None:
        super().__init__(
            target.path,
            target.name,
            target.version,
            target.query,
            fields,
            request_id_of(fields.get(b"x-request-id", b"")),
        )
        self.more_body = True
        self.disconnected = False
        self.response_complete = False
        self.keep_alive = keep_alive
        self._lane = lane
        self._services = services
        self._handler = target.handler
        self._max_bytes = services.settings.max_body_bytes
        self._body: bytes | bytearray = b""
        self._size = 0
        self._is_next = False
        self._course: Coroutine[Any, Any, None] | None = None
        self._waits_for: asyncio.Future[Any] | None = None
        self._news: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """All earlier requests of the connection are answered: go on once the body is here."""
        self._is_next = True
        if not self.more_body or self.disconnected or self._declared > self._max_bytes:
            self.set()

    @property
    def message_event(self) -> Turn:
        """What uvicorn sets when something came, or the client left: `set` below."""
        return self

    def set(self) -> None:
        """Go on reading, or begin."""
        if self._course is None:
            if self._is_next:
                self._course = self._run()
                self._step()
        elif self._news is not None and not self._news.done():
            self._news.set_result(None)

    def cancel(self, msg: object = None) -> None:
        """End it early, as uvicorn ends tasks when the time to shut down is over."""
        if self._waits_for is not None:
            self._waits_for.cancel()

    def _step(self, _: object = None) -> None:
        """Run the handler to where it waits next, as an asyncio task does with more around it."""
        assert self._course is not None
        self._waits_for = None
        try:
            waits_for = self._course.send(None)
        except StopIteration:
            self._lane.tasks.discard(self)
            return
        except Exception:  # of ours, while it was sent: the client can't be told any more
            log.exception("answer failed", request_id=self.request_id, path=self.path)
            self._lane.tasks.discard(self)
            self._lane.transport.abort()
            return
        if waits_for is None:  # it only lets others go first
            self._lane.loop.call_soon(self._step)
        else:
            self._waits_for = waits_for
            waits_for._asyncio_future_blocking = False
            waits_for.add_done_callback(self._step)

    @property
    def _declared(self) -> int:
        """Bytes of the body by its header, which the parser saw to be a number; 0 if not said."""
        return int(self.fields.get(b"content-length", b"0"))

    def add(self, part: bytes) -> None:
        """Take a part of the body; past the limit, none is kept."""
        self._size += len(part)
        if self._size > self._max_bytes:
            self._body = b""
            self.set()
        elif not self._body:
            self._body = part  # the whole, as a rule
        elif isinstance(self._body, bytearray):
            self._body += part
        else:
            self._body = bytearray(self._body + part)

    def leave(self) -> None:
        """The client has gone: drop what it waits for."""
        self.disconnected = True
        if not self.response_complete:
            self.cancel()

    async def _run(self) -> None:
        """Answer."""
        try:
            answer = await respond(self._services, self, self._handler)
            if self._lane.flow.write_paused:
                await self._lane.flow.drain()
        except asyncio.CancelledError:
            if self.disconnected:
                answer = refusal(_gone())
            else:  # uvicorn's: the time to shut down is over
                answer = refusal(DrainingError("the server stopped before it answered"))
        if not self.disconnected:
            self._lane.send(self, answer)
        if self._services.settings.access_log:
            log.info(
                "request",
                request_id=self.request_id,
                method="POST",
                path=self.path,
                status=answer.status,
                elapsed_ms=1_000 * (time.perf_counter() - self.started_s),
            )

    async def read_body(self, max_bytes: int) -> bytes:
        """The body, when all of it is there."""
        if self._declared > max_bytes:
            raise PayloadTooLargeError(
                f"the body has {self._declared} bytes, the limit is {max_bytes}"
            )
        while self.more_body and self._size <= max_bytes and not self.disconnected:
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        if self._size > max_bytes:
            raise PayloadTooLargeError(f"the body exceeds the limit of {max_bytes} bytes")
        if self.disconnected:
            raise _gone()
        return bytes(self._body)

    async def while_there(self, work: Awaitable[T]) -> T:
        """The work's result; `leave` cancels it."""
        return await work


def _gone() -> CallerGoneError:
    return CallerGoneError("the client closed the connection")


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
