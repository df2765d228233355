"""What wraps every HTTP request: an id for its log lines and its answer, errors, an access log."""

from __future__ import annotations

import asyncio
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.routes import HOLDING, to_response
from service.calls.exchange import REQUEST_ID, refusal, request_id_of
from service.errors import DrainingError, ServiceError
from service.port import address_of
from service.security.keys import Scope as Access
from service.security.scopes import scope_of_path
from service.telemetry.audit import Caller, begin_request, tell_request

log = structlog.get_logger(__name__)

KEY = "key"
"""Where in a request's state the name of its API key is, if there are keys."""
DENIED = (401, 403)


class RequestContext:
    """Pure ASGI middleware; takes the caller's X-Request-ID, or makes one, and returns it.

    Args:
        app: What it wraps.
        access_log: Log a line for every request.
    """

    def __init__(self, app: ASGIApp, access_log: bool) -> None:
        self._app = app
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = request_id_of(given.encode("latin-1"))
        scope.setdefault("state", {})["request_id"] = request_id
        begin_request()
        started_s = time.perf_counter()
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(as_get(scope), receive, send_with_id)
            except Exception:
                log.exception("request failed", path=scope["path"])
                response = error_response(ServiceError(f"internal error; request {request_id}"))
                await response(scope, receive, send_with_id)
            except asyncio.CancelledError:  # uvicorn's: the time to shut down is over
                response = error_response(DrainingError("the server stopped before it answered"))
                await response(scope, receive, send_with_id)
            finally:
                if (holding := scope["state"].get(HOLDING)) is not None:
                    holding.release()
            if self._access_log:
                elapsed_ms = 1_000 * (time.perf_counter() - started_s)
                path, method = scope["path"], scope["method"]
                about = {KEY: scope["state"][KEY]} if KEY in scope["state"] else {}
                about |= {"method": method, "path": path, "status": status}
                log.info("request", **about, elapsed_ms=elapsed_ms)
        is_denied = status in DENIED and scope_of_path(scope["path"]) is Access.ADMIN
        caller = Caller("HTTP", client_of(scope), request_id, scope["state"].get(KEY))
        tell_request(caller, scope["path"], status, status < 400, is_denied)


def client_of(scope: Scope) -> str:
    """Address and port of who is connected; of a Unix socket there is none."""
    host, port = scope.get("client") or ("unix socket", 0)
    return address_of(host, port) if port else str(host)


def as_get(scope: Scope) -> Scope:
    """A HEAD as the GET whose head is its answer; the server leaves the body out."""
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope


def error_response(error: ServiceError) -> Response:
    """A failed request's answer; see `refusal`."""
    return to_response(refusal(error))


async def on_service_error(request: Request, error: Exception) -> Response:
    """Answer a ServiceError by its own table."""
    assert isinstance(error, ServiceError)
    if error.status_code >= 500:
        log.warning("request refused", path=request.url.path, code=error.code, error=error.message)
    return error_response(error)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer the router's own refusals (unknown path, wrong method) in the same form."""
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    message = f"{request.method} {request.url.path}: {error.detail}"
    return JSONResponse({"error": message, "code": code}, error.status_code, error.headers)
