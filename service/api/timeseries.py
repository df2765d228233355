"""KServe's time series protocol over the same forecasts: other words for a request of `/v1`.

Its model stands in the body, so the body is read before its way is known.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import msgspec
import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.api.documents import refused
from service.api.predict import asked_of
from service.api.routes import RawRoute, answered, decoded, head_of, read_body
from service.api.schemas import (
    INTEGER,
    NUMBER,
    STRING,
    array_of,
    json_of,
    object_of,
    responses,
    schema_of,
)
from service.calls.asked import Asked, Handler
from service.calls.call import Call
from service.calls.exchange import Answer
from service.calls.services import Services
from service.codec.bodies import decode_json
from service.codec.compression import coding_of, decompress
from service.errors import InvalidRequestError, InvalidSequenceError
from service.graphs.model import Arrays
from service.repository.served import Served
from service.tasks.forecasting.series import GivenSeries
from service.tasks.forecasting.task import Forecasting, ForecastingRequest
from service.tasks.task import Work

UNIVARIATE = "univariate_time_series"
OUTPUT = "time_series_forecast"

router = APIRouter(prefix="/v1/timeseries", tags=["KServe time series"], route_class=RawRoute)


class Named(msgspec.Struct):
    """The part of a request that says which model it is for."""

    model: str


class TimeSeriesInput(msgspec.Struct, kw_only=True):
    """One series; what KServe knows nothing of, such as covariates, may stand beside."""

    type: Literal["univariate_time_series", "multivariate_time_series"]
    name: str
    series: list[float | list[float | None] | None]
    frequency: str
    start_timestamp: str | None = None
    timezone: str | None = None
    covariates: dict[str, list[float]] = {}
    future_covariates: dict[str, list[float]] = {}


class ForecastOptions(msgspec.Struct):
    """What to forecast."""

    horizon: int
    quantiles: list[float] | None = None


class ForecastRequest(Named, kw_only=True):
    """The whole; fields that are not here are let be, as KServe lets them."""

    inputs: list[TimeSeriesInput]
    options: ForecastOptions


DECODER = msgspec.json.Decoder(ForecastRequest)
NAME_DECODER = msgspec.json.Decoder(Named)

FIELDS = {
    r"series\[(\d+)\]\.values": r"inputs[\1].series",
    r"series\[(\d+)\]\.(?:start|timestamps)": r"inputs[\1].start_timestamp",
    r"series\[(\d+)\]": r"inputs[\1]",
    r"horizon": r"options.horizon",
    r"quantiles": r"options.quantiles",
}
"""Of the task's requests, and where the same stands here."""

_FORECAST = object_of(
    {
        "type": STRING,
        "name": STRING,
        "mean_forecast": array_of(NUMBER),
        "frequency": STRING,
        "start_timestamp": STRING,
        "quantiles": {"type": ["object", "null"], "additionalProperties": array_of(NUMBER)},
    }
)
_OUTPUT = object_of(
    {"type": STRING, "id": STRING, "status": STRING, "content": array_of(_FORECAST)}
)
DOCUMENT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": json_of(schema_of(ForecastRequest)),
    },
    "responses": responses(
        object_of(
            {
                "id": STRING,
                "created_at": INTEGER,
                "status": STRING,
                "model": STRING,
                "outputs": array_of(_OUTPUT),
            }
        ),
        refused(),
    ),
}
MODELS_DOCUMENT: dict[str, Any] = {"responses": responses(array_of(STRING), [])}


@router.get("/models", openapi_extra=MODELS_DOCUMENT, summary="The models that forecast")
async def models(request: Request) -> Response:
    """Their names."""
    services: Services = request.app.state.services
    ready = [entry.loaded.served for entry in services.repository.index() if entry.loaded]
    names = [served.name for served in ready if isinstance(served.task, Forecasting)]
    return Response(orjson.dumps(names), media_type="application/json")


@router.post("/forecast", openapi_extra=DOCUMENT, summary="Forecast")
async def forecast(request: Request) -> Response:
    """Forecast series, in the words of KServe's protocol."""
    max_bytes = request.app.state.settings.max_body_bytes
    body = await read_body(request, max_bytes)
    plain = body
    if coding := coding_of(request.headers.get("content-encoding", "")):
        plain = await asyncio.to_thread(decompress, body, coding, max_bytes)
    name = (await decoded(request, NAME_DECODER, plain)).model
    return await answered(FORECAST, head_of(request, name), request, body)


def example_of(task: Forecasting) -> dict[str, Any]:
    """A request to this model, answered when pasted."""
    (series,) = task.example["series"]
    known = {name: series[name] for name in ("covariates", "future_covariates")}
    return {
        "model": task.manifest.name,
        "inputs": [
            {
                "type": UNIVARIATE,
                "name": "example",
                "series": series["values"],
                "frequency": task.settings.step.name,
                "start_timestamp": series["start"],
                **known,
            }
        ],
        "options": {name: task.example[name] for name in ("horizon", "quantiles")},
    }


def read(call: Call, body: bytes) -> Asked | Callable[[], Asked]:
    """What a whole request asks."""
    found = partial(_read, call, body, call.served)
    return found if len(body) > call.settings.inline_body_bytes else found()


FORECAST = Handler("v1", read)


def _read(call: Call, body: bytes, served: Served) -> Asked:
    task = served.task
    if not isinstance(task, Forecasting):
        raise InvalidRequestError(f"{served.name} does not forecast", "model")
    given = decode_json(DECODER, body)
    call.check_count(len(given.inputs), "inputs")
    request = ForecastingRequest(
        series=[_series(item, f"inputs[{index}]") for index, item in enumerate(given.inputs)],
        horizon=given.options.horizon,
        quantiles=given.options.quantiles or [],
    )
    try:
        work = task.read(request)
    except InvalidSequenceError as error:
        field = _here(error.field)
        message = error.message.replace(error.field, field)
        raise InvalidSequenceError(message, field) from None
    answer = partial(_answer, call.request_id, task, given, work)
    return asked_of(call, request, work._replace(field="inputs"), answer)


def _series(given: TimeSeriesInput, field: str) -> GivenSeries:
    if given.type != UNIVARIATE:
        raise InvalidSequenceError(
            f"{field}.type: the model forecasts {UNIVARIATE}", f"{field}.type"
        )
    values: list[float | None] = []
    for index, value in enumerate(given.series):
        if isinstance(value, list):
            where = f"{field}.series[{index}]"
            raise InvalidSequenceError(f"{where} is a list in a {UNIVARIATE}", where)
        values.append(value)
    if given.start_timestamp is None:
        where = f"{field}.start_timestamp"
        raise InvalidSequenceError(f"{where} is missing: the model reads the calendar", where)
    return GivenSeries(
        values=values,
        start=given.start_timestamp,
        frequency=given.frequency,
        timezone=given.timezone,
        covariates=given.covariates,
        future_covariates=given.future_covariates,
    )


def _here(field: str) -> str:
    """Where in such a request a field of the task's stands."""
    for theirs, ours in FIELDS.items():
        named, count = re.subn(f"^{theirs}", ours, field)
        if count:
            return named
    return field


def _answer(
    request_id: str, task: Forecasting, given: ForecastRequest, work: Work, results: Arrays
) -> Answer:
    content = [
        {
            "type": item.type,
            "name": item.name,
            "mean_forecast": prediction["mean"],
            "frequency": item.frequency,
            "start_timestamp": prediction["timestamps"][0],
            "quantiles": prediction["quantiles"] or None,
        }
        for item, prediction in zip(given.inputs, work.answer(results), strict=True)
    ]
    output = {"type": OUTPUT, "id": request_id, "status": "completed", "content": content}
    body = {
        "id": request_id,
        "created_at": int(time.time()),
        "status": "completed",
        "error": None,
        "model": task.manifest.name,
        "outputs": [{**output, "error": None}],
    }
    return Answer(orjson.dumps(body))
