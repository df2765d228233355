"""The logging extension: what this server logs, read and set while it runs."""

from __future__ import annotations

import logging

import msgspec
from fastapi import APIRouter
from starlette.requests import Request

from service.api.extensions.documents import LOGGING_DOCUMENT, SET_LOGGING_DOCUMENT
from service.api.repository import check_allowed
from service.api.routes import decoded, read_json
from service.calls.services import Services
from service.errors import InvalidRequestError, UnsupportedError
from service.settings import Settings
from service.telemetry.audit import note_change

router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])

FORMAT = "ISO8601"  # the time in each line, which is a JSON object
SEVERITIES = {
    "log_error": logging.ERROR,
    "log_warning": logging.WARNING,
    "log_info": logging.INFO,
    "log_verbose_level": logging.DEBUG,
}
"""By setting, the gravest first: each is logged only with those before it."""
NOTHING = logging.CRITICAL + 1


class LogSettings(msgspec.Struct, forbid_unknown_fields=True):
    """What is to change; what is left out stays."""

    log_file: str = ""
    log_info: bool | None = None
    log_warning: bool | None = None
    log_error: bool | None = None
    log_verbose_level: int | None = None
    log_format: str = FORMAT


@router.get("/logging", openapi_extra=LOGGING_DOCUMENT, summary="Log settings")
async def get_logging() -> dict[str, object]:
    """What is logged, to standard error."""
    return log_settings()


@router.post("/logging", openapi_extra=SET_LOGGING_DOCUMENT, summary="Change the log settings")
async def set_logging(request: Request) -> dict[str, object]:
    """Log more or less from now on."""
    services: Services = request.app.state.services
    body = await read_json(request, services.settings.max_body_bytes)
    return change_logging(services.settings, await decoded(request, _DECODER, body))


def change_logging(settings: Settings, wanted: LogSettings) -> dict[str, object]:
    """Log more or less from now on; the settings that hold then.

    Raises:
        ForbiddenError: Requests may not.
        InvalidRequestError: One severity can't be logged without another.
        UnsupportedError: What is wanted can't be set here.
    """
    asked = {name: getattr(wanted, name) for name in SEVERITIES}
    note_change("log settings", **{name: it for name, it in asked.items() if it is not None})
    check_allowed(settings)
    if settings.workers > 1:
        raise UnsupportedError("a request reaches one of several workers: restart with --log-level")
    if wanted.log_file:
        raise UnsupportedError("log_file: logs go to standard error alone", "log_file")
    if wanted.log_format != FORMAT:
        raise UnsupportedError(f"log_format: the only one is {FORMAT}", "log_format")
    logging.getLogger().setLevel(_level(wanted))
    return log_settings()


def log_settings() -> dict[str, object]:
    """The settings that hold now."""
    return {"log_file": "", **_severities(), "log_format": FORMAT}


def _severities() -> dict[str, int]:
    level = logging.getLogger().level
    shown = {name: level <= severity for name, severity in SEVERITIES.items()}
    return {**shown, "log_verbose_level": int(shown["log_verbose_level"])}


def _level(wanted: LogSettings) -> int:
    """The level at which just this is logged."""
    if (wanted.log_verbose_level or 0) < 0:
        raise InvalidRequestError("log_verbose_level must be 0 or more", "log_verbose_level")
    level, hidden = NOTHING, ""
    for name, shown in _severities().items():
        asked = getattr(wanted, name)
        if not (shown if asked is None else asked):
            hidden = hidden or name
        elif hidden:
            raise InvalidRequestError(f"{name} is logged only with {hidden}", name)
        else:
            level = SEVERITIES[name]
    return level


_DECODER = msgspec.json.Decoder(LogSettings)
