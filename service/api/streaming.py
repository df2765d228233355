"""Answers that are sent as they come: server-sent events, through FastAPI."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.api.routes import RequestCall, disconnected, head_of, read_body, to_response
from service.calls.asked import Handler
from service.calls.exchange import Answer, Head, refusal
from service.errors import CallerGoneError, DrainingError, ServiceError
from service.graphs.model import Arrays

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def event(data: bytes, name: bytes = b"") -> bytes:
    """One server-sent event; the data is JSON on one line."""
    return (b"event: " + name + b"\n" if name else b"") + b"data: " + data + b"\n\n"


class StreamCall(RequestCall):
    """A call whose answer is sent as it comes, if its handler says so.

    What is told before the answer is sent at once; the answer ends the stream. Until something is
    told, an error is an answer with a status of its own; later it is the last event.
    """

    def __init__(self, handler: Handler, head: Head, request: Request) -> None:
        super().__init__(handler, head, request)
        self.last_events: Callable[[Answer], bytes] | None = None
        """What an answer, or an error, ends the stream with; None: it is not streamed."""
        self._told: deque[bytes] = deque()
        self._has_news = asyncio.Event()

    def tell(self, told: bytes) -> None:
        """Send an event."""
        self._told.append(told)
        self._has_news.set()

    def send(self, answer: Answer) -> None:
        """End the stream."""
        super().send(answer)
        self._has_news.set()

    def _pack(self, results: Arrays, answer: Answer) -> None:
        if self.last_events is None:
            super()._pack(results, answer)
        else:  # of a stream that is compressed, little would arrive until its end
            self._succeed(results, answer)

    async def has_news(self, leaving: asyncio.Future[None]) -> bool:
        """Wait until there is something to send, or nobody to have it; whether there is."""
        news = asyncio.ensure_future(self._has_news.wait())
        both: list[asyncio.Future[Any]] = [news, leaving]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
        return self._has_news.is_set()

    @property
    def is_streamed(self) -> bool:
        """Whether there is a stream: what is refused before anything was told has none."""
        is_refused = self.answered.done() and self.answered.result().status != 200
        return self.last_events is not None and (bool(self._told) or not is_refused)

    def take(self) -> bytes:
        """The events that were not sent yet."""
        self._has_news.clear()
        events = b"".join(self._told)
        self._told.clear()
        if self.answered.done() and self.last_events is not None:
            events += self.last_events(self.answered.result())
        return events


class EventStream(Response):
    """The events of a call.

    Args:
        call: Whose answer is streamed.
        leaving: Done when the client has left.
    """

    def __init__(self, call: StreamCall, leaving: asyncio.Future[None]) -> None:
        super().__init__(media_type="text/event-stream", headers=HEADERS)
        del self.headers["content-length"]
        self._call = call
        self._leaving = leaving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events as they come."""
        call = self._call
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        try:
            await send(start)
            while not self._leaving.done():
                is_over = call.answered.done()
                body = {"type": "http.response.body", "body": call.take(), "more_body": not is_over}
                await send(body)
                if is_over or not await call.has_news(self._leaving):
                    break
        except asyncio.CancelledError:  # uvicorn's: the time to shut down is over
            call.fail(DrainingError("the server stopped before the text was whole"))
            await send({"type": "http.response.body", "body": call.take()})
        finally:
            self._leaving.cancel()
            call.drop()


def streaming_endpoint(handler: Handler) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """The FastAPI endpoint of a handler whose answers may be streamed."""

    async def serve(request: Request) -> Response:
        path = request.path_params
        call = StreamCall(handler, head_of(request, path["name"], path.get("version")), request)
        leaving: asyncio.Future[None] | None = None
        response: Response | None = None
        try:
            if call.enter():
                call.run(await read_body(request, call.settings.max_body_bytes))
                leaving = asyncio.ensure_future(disconnected(request))
                if await call.has_news(leaving) and call.is_streamed:
                    response = EventStream(call, leaving)
        except ServiceError as error:  # the body can't be had
            call.fail(error)
        finally:
            if response is None:
                call.drop()
                if leaving is not None:
                    leaving.cancel()
        if response is not None:
            return response
        if not call.answered.done():
            return to_response(refusal(CallerGoneError("the client closed the connection")))
        return to_response(call.answered.result())

    serve.__name__ = handler.read.__name__
    serve.__doc__ = handler.read.__doc__
    return serve
