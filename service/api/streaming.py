"""Answers that are sent as they come: server-sent events, through FastAPI."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from service.api.routes import RequestCall, disconnected, read_body, to_response
from service.calls.asked import Handler
from service.calls.exchange import Answer, refusal
from service.calls.services import Services
from service.errors import CallerGoneError, ServiceError
from service.graphs.model import Arrays

EVENT_STREAM = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def event(data: bytes, name: bytes = b"") -> bytes:
    """One server-sent event; the data is JSON on one line."""
    return (b"event: " + name + b"\n" if name else b"") + b"data: " + data + b"\n\n"


class StreamCall(RequestCall):
    """A call whose answer is sent as it comes, if its handler says so.

    What is told before the answer is sent at once; the answer ends the stream. Until something is
    told, an error is an answer with a status of its own; later it is the last event.
    """

    def __init__(self, services: Services, handler: Handler, request: Request) -> None:
        super().__init__(services, handler, request)
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

    async def begun(self, request: Request) -> bool:
        """Wait until there is something to send, or nobody to have it; whether there is."""
        news = asyncio.ensure_future(self._has_news.wait())
        leaving = asyncio.ensure_future(disconnected(request))
        try:
            await asyncio.wait([news, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
            leaving.cancel()
        return self._has_news.is_set()

    @property
    def has_failed(self) -> bool:
        """Whether it was refused before anything was told."""
        return self.answered.done() and self.answered.result().status != 200 and not self._told

    async def chunks(self) -> AsyncIterator[bytes]:
        """All events; whoever stops asking has left."""
        assert self.last_events is not None
        is_over = False
        try:
            while not is_over:
                await self._has_news.wait()
                self._has_news.clear()
                is_over = self.answered.done()
                chunk = b"".join(self._told)
                self._told.clear()
                if is_over:
                    chunk += self.last_events(self.answered.result())
                yield chunk
        finally:
            self.drop()


def streaming_endpoint(handler: Handler) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """The FastAPI endpoint of a handler whose answers may be streamed."""

    async def serve(request: Request) -> Response:
        call = StreamCall(request.app.state.services, handler, request)
        response: Response | None = None
        try:
            if call.enter():
                call.run(await read_body(request, call.settings.max_body_bytes))
                has_begun = await call.begun(request)
                if has_begun and call.last_events is not None and not call.has_failed:
                    response = StreamingResponse(
                        call.chunks(), media_type=EVENT_STREAM, headers=HEADERS
                    )
        except ServiceError as error:  # the body can't be had
            call.fail(error)
        finally:
            if response is None:
                call.drop()
        if response is not None:
            return response
        if not call.answered.done():
            return to_response(refusal(CallerGoneError("the client closed the connection")))
        return to_response(call.answered.result())

    serve.__name__ = handler.read.__name__
    serve.__doc__ = handler.read.__doc__
    return serve
