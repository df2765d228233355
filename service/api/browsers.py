"""What browsers are told: which other sites' pages may ask, and what answers are."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.context import error_response
from service.errors import ServiceError
from service.security.sites import Sites

SECURITY_HEADERS = [("X-Content-Type-Options", "nosniff"), ("X-Frame-Options", "DENY")]
TLS_HEADERS = [("Strict-Transport-Security", "max-age=31536000")]

ASKED_HEADERS = [
    "accept-encoding",
    "authorization",
    "content-encoding",
    "content-type",
    "inference-header-content-length",
    "traceparent",
    "x-api-key",
    "x-request-id",
]
TOLD_HEADERS = [
    "inference-header-content-length",
    "retry-after",
    "traceresponse",
    "x-request-id",
]
PREFLIGHT_S = 600


class SiteCheck:
    """Pure ASGI middleware: refuses what a foreign page asks, before any key is looked at.

    Args:
        app: What it wraps.
        sites: Whose pages may ask.
    """

    def __init__(self, app: ASGIApp, sites: Sites) -> None:
        self._app = app
        self._sites = sites

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, if it may be."""
        if scope["type"] == "http":
            try:
                self._sites.check(scope["method"], scope["headers"])
            except ServiceError as error:
                await error_response(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def allow_origins(app: FastAPI, origins: Sequence[str]) -> None:
    """Let pages of these sites ask.

    Args:
        app: The application.
        origins: Such as `https://a.example`; `*` for all. Keys travel in headers, never in cookies,
            so no site needs credentials.
    """
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=["GET", "POST"],
        allow_headers=ASKED_HEADERS,
        expose_headers=TOLD_HEADERS,
        max_age=PREFLIGHT_S,
    )
