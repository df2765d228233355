"""The statistics extension: how many requests there were, and where their time went."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request

from service.api.extensions.documents import ALL_STATISTICS_DOCUMENT, STATISTICS_DOCUMENT
from service.api.schemas import versioned
from service.api.services import Services
from service.telemetry.statistics import ModelStatistics, model_statistics

router = APIRouter(prefix="/v2/models", tags=["Open Inference Protocol"])

Statistics = dict[str, list[ModelStatistics]]


@router.get(
    "/stats",
    openapi_extra=ALL_STATISTICS_DOCUMENT,
    response_model=None,
    summary="Statistics of all models",
)
async def all_statistics(request: Request) -> Statistics:
    """Counts and times of every model that serves, since it was loaded."""
    services: Services = request.app.state.services
    return {
        "model_stats": [
            model_statistics(services.metrics, entry.name, entry.version)
            for entry in services.repository.index()
            if entry.state == "READY"
        ]
    }


@router.get(
    "/{name}/stats",
    openapi_extra=STATISTICS_DOCUMENT,
    response_model=None,
    summary="Statistics of a model",
)
@router.get(
    "/{name}/versions/{version}/stats",
    openapi_extra=versioned(STATISTICS_DOCUMENT),
    response_model=None,
)
async def statistics(request: Request) -> Statistics:
    """Counts and times of the version that serves."""
    services: Services = request.app.state.services
    path = request.path_params
    served = services.repository.get(path["name"], path.get("version"))
    return {"model_stats": [model_statistics(services.metrics, served.name, served.version)]}
