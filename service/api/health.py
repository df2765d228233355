"""What orchestrators, Prometheus and operators ask: health, server metadata, metrics."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from service.api import metadata
from service.api.documents import (
    METRICS_DOCUMENT,
    MODEL_READY_DOCUMENT,
    READY_DOCUMENT,
)
from service.api.schemas import versioned
from service.errors import ModelNotReadyError
from service.repository.repository import Repository
from service.telemetry.metrics import Metrics

router = APIRouter()
PROTOCOL = "Open Inference Protocol"


@router.get("/v2", tags=[PROTOCOL], summary="Server metadata")
@router.get("/v2/", include_in_schema=False)
async def server_metadata() -> dict[str, object]:
    """Name, version and the extensions that are there."""
    return metadata.server_metadata()


@router.get("/v2/health/live", tags=[PROTOCOL], summary="Liveness")
async def live() -> dict[str, bool]:
    """The process answers."""
    return {"live": True}


@router.get(
    "/v2/health/ready",
    tags=[PROTOCOL],
    summary="Readiness",
    openapi_extra=READY_DOCUMENT,
)
async def ready(request: Request) -> JSONResponse:
    """Every bundle is verified, invariance-checked and warm, and the server is not stopping."""
    is_ready = metadata.is_ready(request.app.state)
    return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)


@router.get(
    "/v2/models/{name}/ready",
    tags=[PROTOCOL],
    summary="Model readiness",
    openapi_extra=MODEL_READY_DOCUMENT,
)
@router.get(
    "/v2/models/{name}/versions/{version}/ready",
    tags=[PROTOCOL],
    openapi_extra=versioned(MODEL_READY_DOCUMENT),
)
async def model_ready(request: Request) -> JSONResponse:
    """Whether this model answers."""
    repository: Repository = request.app.state.repository
    name = request.path_params["name"]
    try:
        served = repository.get(name, request.path_params.get("version"))
        is_ready = not served.scheduler.is_quarantined
    except ModelNotReadyError:
        is_ready = False
    return JSONResponse({"name": name, "ready": is_ready}, 200 if is_ready else 503)


@router.get(
    "/metrics",
    tags=["operation"],
    openapi_extra=METRICS_DOCUMENT,
    response_class=PlainTextResponse,
    summary="Prometheus metrics",
)
async def prometheus_metrics(request: Request) -> Response:
    """Every metric, in OpenMetrics where that is asked for, else in Prometheus's text format."""
    metrics: Metrics = request.app.state.metrics
    accept = request.headers.get("accept", "")
    # in a thread: it takes milliseconds, with many models and workers
    text, media_type = await asyncio.to_thread(metrics.render, accept)
    return Response(text, headers={"content-type": media_type})
