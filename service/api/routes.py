"""The hot routes through FastAPI: documented in OpenAPI, served by any ASGI server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from service.api.calls import Handler, Services, respond
from service.api.exchange import Answer, Exchange
from service.errors import CallerGoneError, PayloadTooLargeError

T = TypeVar("T")


class RawRoute(APIRoute):
    """A route that FastAPI documents but does not come between: the endpoint gets the request."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint itself."""
        return self.endpoint


class RequestExchange(Exchange):
    """An exchange over ASGI."""

    def __init__(self, request: Request) -> None:
        scope = request.scope
        super().__init__(
            path=scope["path"],
            name=request.path_params["name"],
            version=request.path_params.get("version"),
            query=scope["query_string"],
            fields=dict(reversed(scope["headers"])),
            request_id=request.state.request_id,
        )
        self._request = request

    async def read_body(self, max_bytes: int) -> bytes:
        """See `read_body`."""
        return await read_body(self._request, max_bytes)

    async def while_there(self, work: Awaitable[T]) -> T:
        """Wait for the work and for the client's leaving at once; its body was read before."""
        answer = asyncio.ensure_future(work)
        gone = asyncio.ensure_future(_disconnected(self._request))
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise CallerGoneError("the client closed the connection")
            return answer.result()
        finally:
            answer.cancel()
            gone.cancel()


def endpoint(handler: Handler) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """The FastAPI endpoint of a handler, with its documentation."""

    async def serve(request: Request) -> Response:
        services: Services = request.app.state.services
        return to_response(await respond(services, RequestExchange(request), handler))

    serve.__name__ = handler.infer.__name__
    serve.__doc__ = handler.infer.__doc__
    return serve


def to_response(answer: Answer) -> Response:
    """An answer as Starlette sends it."""
    response = Response(answer.body, answer.status)
    response.raw_headers[:0] = answer.headers
    return response


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The whole body of an ASGI request; see `Exchange.read_body`."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes:
        raise PayloadTooLargeError(f"the body has {declared} bytes, the limit is {max_bytes}")
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > max_bytes:
                raise PayloadTooLargeError(f"the body exceeds the limit of {max_bytes} bytes")
            parts.append(part)
    except ClientDisconnect:
        raise CallerGoneError("the client left while it sent the body") from None
    return b"".join(parts)


async def _disconnected(request: Request) -> None:
    """Return when the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
