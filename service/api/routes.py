"""The hot routes through FastAPI: documented in OpenAPI, served by any ASGI server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fastapi.routing import APIRoute
from msgspec.json import Decoder
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from service.calls.asked import Handler
from service.calls.call import Call
from service.calls.exchange import TRACE_PARENT, TRACE_RESPONSE, Answer, Head, refusal
from service.calls.services import Services
from service.codec.bodies import decode_json
from service.errors import (
    CallerGoneError,
    PayloadTooLargeError,
    ServiceError,
    UnsupportedMediaTypeError,
)
from service.native import read_trace_parent
from service.security.bodies import Bodies, Holding
from service.settings import Settings

T = TypeVar("T")

HOLDING = "holding"
"""Where in a request's state its `Holding` is, if it has a body."""

SAID_OF_JSON = {
    "application/json",
    "",  # Triton's client
    "application/x-www-form-urlencoded",  # `curl -d`
    "application/octet-stream",
}
"""What clients say of a body of JSON."""


class RawRoute(APIRoute):
    """A route that FastAPI documents but does not come between: the endpoint gets the request."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint itself."""
        return self.endpoint


class RequestCall(Call):
    """A call over ASGI.

    Args:
        handler: Of the route.
        head: Of the request.
        request: As Starlette has it.
    """

    def __init__(self, handler: Handler, head: Head, request: Request) -> None:
        # of two, none is to be believed
        given = request.headers.getlist(TRACE_PARENT)
        parent = read_trace_parent(given[0].encode("latin-1")) if len(given) == 1 else ""
        services, request_id = request.app.state.services, request.state.request_id
        super().__init__(services, handler, head, request_id, parent)
        self.answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def send(self, answer: Answer) -> None:
        """Let the endpoint return it."""
        if not self.answered.done():
            self.answered.set_result(answer)


def endpoint(handler: Handler) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """The FastAPI endpoint of a handler."""

    async def serve(request: Request) -> Response:
        path = request.path_params
        head = head_of(request, path["name"], path.get("version"))
        return await answered(handler, head, request)

    serve.__name__ = handler.read.__name__
    serve.__doc__ = handler.read.__doc__
    return serve


def head_of(request: Request, name: str, version: str | None = None) -> Head:
    """The head of a request to a model."""
    scope = request.scope
    fields = dict(reversed(scope["headers"]))
    return Head(scope["path"], name, version, scope["query_string"], fields)


async def answered(handler: Handler, head: Head, request: Request, body: Any = None) -> Response:
    """The answer to a request.

    Args:
        handler: Of the route.
        head: Of the request.
        request: As Starlette has it.
        body: What the handler reads; None: it is still to come.
    """
    call = RequestCall(handler, head, request)
    try:
        if call.enter():
            if body is None:
                body = await read_body(request, call.settings.max_body_bytes)
            call.run(body)
            await _first(call.answered, disconnected(request))
    except ServiceError as error:  # the body can't be had
        call.fail(error)
    finally:
        call.drop()
    if call.answered.cancelled():
        return to_response(refusal(CallerGoneError("the client closed the connection")))
    response = to_response(call.answered.result())
    if call.trace_response:
        response.headers[TRACE_RESPONSE] = call.trace_response
    return response


async def _first(answered: asyncio.Future[Answer], gone: Coroutine[Any, Any, None]) -> None:
    """Wait until there is an answer, or nobody to have it."""
    leaving = asyncio.ensure_future(gone)
    leaving.add_done_callback(lambda _: answered.cancel())
    try:
        await asyncio.wait([answered])
    finally:
        leaving.cancel()


def to_response(answer: Answer) -> Response:
    """An answer as Starlette sends it."""
    response = Response(answer.body, answer.status)
    response.raw_headers[:0] = answer.headers
    return response


async def read_body(request: Request, max_bytes: int, bodies: Bodies | None = None) -> bytes:
    """The whole body of an ASGI request, held until it is answered.

    Args:
        request: Whose it is.
        max_bytes: No longer.
        bodies: That it counts among; default: those of the server.

    Raises:
        OverloadedError: Those take all room there is.
        PayloadTooLargeError: It is larger than `max_bytes`, by its header or by what came.
        CallerGoneError: The client left while it sent.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes:
        raise PayloadTooLargeError(f"the body has {declared} bytes, the limit is {max_bytes}")
    services: Services = request.app.state.services
    holding = Holding(services.bodies if bodies is None else bodies)
    request.scope["state"][HOLDING] = holding
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > max_bytes:
                raise PayloadTooLargeError(f"the body exceeds the limit of {max_bytes} bytes")
            holding.add(len(part))
            parts.append(part)
    except ClientDisconnect:
        raise CallerGoneError("the client left while it sent the body") from None
    return b"".join(parts)


async def read_json(request: Request, max_bytes: int, bodies: Bodies | None = None) -> bytes:
    """The body, of JSON, of a request that is not inference; see `read_body`.

    Raises:
        UnsupportedMediaTypeError: It says to be text or a form, which any site's page may send.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in SAID_OF_JSON and not kind.endswith("+json"):
        raise UnsupportedMediaTypeError(
            f"content type {kind} is not application/json", "Content-Type"
        )
    return await read_body(request, max_bytes, bodies)


async def decoded(request: Request, decoder: Decoder[T], body: bytes) -> T:
    """A JSON body, decoded in a thread if it is long; see `decode_json`."""
    settings: Settings = request.app.state.settings
    if len(body) > settings.inline_body_bytes:
        return await asyncio.to_thread(decode_json, decoder, body)
    return decode_json(decoder, body)


async def disconnected(request: Request) -> None:
    """Return when the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
