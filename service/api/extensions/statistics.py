"""The statistics extension: how many requests there were, and where their time went."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request

from service.api.extensions.documents import ALL_STATISTICS_DOCUMENT, STATISTICS_DOCUMENT
from service.api.schemas import versioned
from service.calls.services import Services
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
    return statistics_of(request.app.state.services)


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
    path = request.path_params
    return statistics_of(request.app.state.services, path["name"], path.get("version"))


def statistics_of(
    services: Services, name: str | None = None, version: str | None = None
) -> Statistics:
    """The statistics of one model that serves, or of all.

    Raises:
        ModelNotFoundError: There is none of this name and version.
        ModelNotReadyError: It does not serve now.
    """
    repository, metrics = services.repository, services.metrics
    if name is not None:
        served = repository.get(name, version)
        return {"model_stats": [model_statistics(metrics, served.name, served.version)]}
    ready = [entry for entry in repository.index() if entry.state == "READY"]
    return {"model_stats": [model_statistics(metrics, it.name, it.version) for it in ready]}
