"""The trace extension's settings, told truly: what is traced is said at the start, not here."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request

from service.api.extensions.documents import (
    MODEL_TRACE_DOCUMENT,
    SET_MODEL_TRACE_DOCUMENT,
    SET_TRACE_DOCUMENT,
    TRACE_DOCUMENT,
)
from service.api.routes import decoded, read_json
from service.calls.services import Services
from service.errors import InvalidRequestError, UnsupportedError
from service.telemetry.audit import note_change
from service.telemetry.settings import TelemetrySettings

router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])

Settings = dict[str, Any]

OFF: Settings = {
    "trace_file": "",
    "trace_level": ["OFF"],
    "trace_rate": "1000",
    "trace_count": "-1",
    "log_frequency": "0",
    "trace_mode": "triton",
}


@router.get("/trace/setting", openapi_extra=TRACE_DOCUMENT, summary="Trace settings")
@router.get("/models/{name}/trace/setting", openapi_extra=MODEL_TRACE_DOCUMENT)
async def get_trace(request: Request) -> Settings:
    """What is traced: as the server's settings say, of all models alike."""
    _check_model(request)
    services: Services = request.app.state.services
    return trace_settings(services.settings)


@router.post("/trace/setting", openapi_extra=SET_TRACE_DOCUMENT, summary="Change the trace")
@router.post("/models/{name}/trace/setting", openapi_extra=SET_MODEL_TRACE_DOCUMENT)
async def set_trace(request: Request) -> Settings:
    """Leave it as it is; whatever else is asked is refused."""
    _check_model(request)
    services: Services = request.app.state.services
    body = await read_json(request, services.settings.max_body_bytes)
    return change_trace(await decoded(request, _DECODER, body), services.settings)


def trace_settings(settings: TelemetrySettings) -> Settings:
    """The settings of the server's traces."""
    ratio = settings.trace_sample_ratio
    if settings.otlp_endpoint is None or not ratio:
        return OFF
    rate = str(max(round(1 / ratio), 1))
    return {**OFF, "trace_level": ["TIMESTAMPS"], "trace_rate": rate, "trace_mode": "opentelemetry"}


def change_trace(wanted: Settings, settings: TelemetrySettings) -> Settings:
    """The settings, which stay as they are.

    Raises:
        InvalidRequestError: There is no such setting.
        UnsupportedError: One is to change.
    """
    if wanted:
        note_change("trace settings", settings=sorted(OFF.keys() & wanted.keys()))
    now = trace_settings(settings)
    for name, value in wanted.items():
        if name not in OFF:
            raise InvalidRequestError(f"{name!r} is none of {', '.join(OFF)}", name)
        if value is not None and value != now[name]:  # null: as it was at the start
            raise UnsupportedError(f"{name}: traces are set at the start, not here", name)
    return now


def _check_model(request: Request) -> None:
    """Refuse a model that is not there."""
    if (name := request.path_params.get("name")) is not None:
        services: Services = request.app.state.services
        services.repository.get(name)


_DECODER = msgspec.json.Decoder(Settings)
