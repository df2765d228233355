"""One request on a connection's lane: its body gathered, its handler run, its answer sent."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Coroutine
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import structlog

from service.api.calls import Handler, Services, respond
from service.api.exchange import Exchange, refusal, request_id_of
from service.api.predict import PREDICT
from service.api.v2 import INFER
from service.errors import CallerGoneError, DrainingError, PayloadTooLargeError

if TYPE_CHECKING:
    from service.lane import Lane

log = structlog.get_logger(__name__)

T = TypeVar("T")

# unreserved characters alone: what must be decoded goes the ordinary way
PATHS = re.compile(
    rb"/v2/models/([\w.~-]+)(?:/versions/([\w.~-]+))?/infer()(?:\?([!-~]*))?"
    rb"|/v1/models/([\w.~-]+)()/predict()(?:\?([!-~]*))?"
)


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
