"""Asks every request over ASGI for its API key, before any route sees it."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.context import KEY, error_response
from service.errors import ServiceError, UnauthenticatedError
from service.security.gate import NOBODY, Credentials, Gate, Permit
from service.security.scopes import scope_of_path

REFUSED_SOCKET = {"type": "websocket.close", "code": 1008}  # before it is accepted: 403


class Guard:
    """Pure ASGI middleware.

    Args:
        app: What it wraps.
        gate: What knows the keys.
    """

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, if it may be; it counts as under way until its answer is sent."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        try:
            permit = self._admit(scope)
        except ServiceError as error:
            if scope["type"] == "websocket":
                await send(REFUSED_SOCKET)
            else:
                await error_response(error)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            permit.release()

    def _admit(self, scope: Scope) -> Permit:
        state, needed = scope.setdefault("state", {}), scope_of_path(scope["path"])
        state[KEY] = NOBODY
        if needed is None:
            return Permit(None)
        given = _credentials_of(Headers(scope=scope))
        try:
            return self._gate.admit(given, needed)
        finally:
            state[KEY] = self._gate.name_of(given)


def _credentials_of(headers: Headers) -> Credentials:
    given = []
    for name in ("authorization", "x-api-key"):
        values = headers.getlist(name)
        if len(values) > 1:
            raise UnauthenticatedError(f"more than one {name} header")
        given.append(values[0].encode("latin-1") if values else b"")
    return Credentials(*given)
