"""The hot routes without ASGI: uvicorn's connection, which answers these requests itself.

Exactly the plain form of the hot routes comes this way (their paths as documented, POST, no
`Expect`, no upgrade); all else goes uvicorn's ordinary way to the application, over the same
connection and in order. The handlers are those of `service/api`, so the answers are the same.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable
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
        self._news: asyncio.Future[None] | None = None
        self._task: asyncio.Task[Any] | None = None

    @property
    def message_event(self) -> Turn:
        """What uvicorn sets when something came, or the client left: `set` below."""
        return self

    def set(self) -> None:
        """Go on reading."""
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

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
        if self._task is not None and not self.response_complete:
            self._task.cancel()

    async def run_asgi(self, _app: object) -> None:
        """Answer; uvicorn calls this when all earlier requests of the connection are answered."""
        started_s = time.perf_counter()
        self._task = asyncio.current_task()
        self._lane.begin(self)
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
                elapsed_ms=1_000 * (time.perf_counter() - started_s),
            )

    async def read_body(self, max_bytes: int) -> bytes:
        """The body, when all of it is there."""
        declared = int(self.fields.get(b"content-length", b"0"))  # a number: the parser saw to it
        if declared > max_bytes:
            raise PayloadTooLargeError(f"the body has {declared} bytes, the limit is {max_bytes}")
        while self.more_body and self._size <= max_bytes and not self.disconnected:
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        if self._size > max_bytes:
            raise PayloadTooLargeError(f"the body exceeds the limit of {max_bytes} bytes")
        if self.disconnected:
            raise _gone()
        return bytes(self._body)

    async def while_there(self, work: Awaitable[T]) -> T:
        """The work's result; `leave` cancels it with the task that waits here."""
        return await work


def _gone() -> CallerGoneError:
    return CallerGoneError("the client closed the connection")


class Lane(HttpToolsProtocol):
    """A connection that answers the hot routes itself."""

    _reading: Turn | None = None  # whose body comes now, if it is one of these
    _running: Turn | None = None

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
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

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
        if self._running is not None:
            self._running.leave()

    def begin(self, turn: Turn) -> None:
        """It is this request's turn to be answered."""
        self._running = turn

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


@lru_cache(256)
def _lines(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b"".join(b"%b: %b\r\n" % header for header in headers)
