"""The task level, /v1: recordings, texts or series in, labels, words or forecasts out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import orjson
from fastapi import APIRouter
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from service.api.documents import MODELS_DOCUMENT, PREDICT_DOCUMENT
from service.api.routes import RawRoute, endpoint
from service.calls.asked import Asked, Handler
from service.calls.call import Call
from service.calls.exchange import Answer
from service.calls.services import Services
from service.codec.bodies import begins_json, priority_of
from service.codec.tensors import check_sequences
from service.errors import InvalidRequestError, UnsupportedMediaTypeError
from service.manifest import Manifest
from service.repository.served import Served
from service.tasks.task import Request as TaskRequest
from service.tasks.task import Task, Work

router = APIRouter(prefix="/v1", tags=["task level"], route_class=RawRoute)

JSON_TYPES = {"application/json"}
UNSAID_TYPES = {"", "application/x-www-form-urlencoded"}
"""Of clients that do not say what they send; the second is what `curl -d` says of anything."""
RECORDING_TYPES = {
    "audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave",
    "audio/flac", "audio/x-flac", "audio/ogg", "application/octet-stream",
}  # fmt: skip


@router.get("/models", openapi_extra=MODELS_DOCUMENT, summary="The models that serve")
async def models(request: Request) -> Response:
    """Every model that answers, with what it takes and its measured quality."""
    services: Services = request.app.state.services
    ready = [entry.loaded.served for entry in services.repository.index() if entry.loaded]
    body = {"models": [_describe(served.task) for served in ready if served.task]}
    return Response(msgspec.json.encode(body), media_type="application/json")


def predict(call: Call, body: bytes) -> Asked | Callable[[], Asked]:
    """Predict of each sequence of the request, in its order."""
    kind = call.head.content_type
    is_unsaid_json = kind in UNSAID_TYPES and begins_json(body)
    if kind not in JSON_TYPES and kind not in RECORDING_TYPES and not is_unsaid_json:
        raise not_read(kind)
    read = partial(_read, call, body, call.served)
    # a recording needs a Fourier transform: never on the event loop
    is_long = kind in RECORDING_TYPES or len(body) > call.settings.inline_body_bytes
    return read if is_long else read()


PREDICT = Handler("v1", predict)
router.post("/models/{name}/predict", openapi_extra=PREDICT_DOCUMENT, summary="Predict")(
    endpoint(PREDICT)
)


def not_read(kind: str) -> UnsupportedMediaTypeError:
    """Why a body of this type is refused, and how to send it."""
    hint = ""
    if kind == "multipart/form-data":
        hint = "; no forms: send the file itself, as curl --data-binary @FILE does (not -F)"
    return UnsupportedMediaTypeError(
        f"content type {kind or '(none)'} is neither application/json nor a recording "
        f"(audio/wav, audio/flac, audio/ogg){hint}",
        "Content-Type",
    )


def _read(call: Call, body: bytes, served: Served) -> Asked:
    task = served.task
    if task is None:
        raise InvalidRequestError(
            f"{served.name} takes tensors, not a task's input: ask /v2/models/{served.name}/infer",
            "name",
        )
    if call.head.content_type in RECORDING_TYPES:
        request, work = task.read_recording(body, dict(QueryParams(call.head.query)))
    else:
        request, work = task.read_json(body, call.check_count)
    return asked_of(call, request, work, partial(answer_of, task, work))


def asked_of(
    call: Call, request: TaskRequest, work: Work, answer: Callable[[Any], Answer]
) -> Asked:
    """What a request to a task wants, checked.

    Args:
        call: The request's.
        request: As its task reads it.
        work: What it comes to.
        answer: Makes the answer of the results.

    Raises:
        ServiceError: It can't be done; the field named.
    """
    served = call.served
    assert served.task is not None, "it has read the request"
    call.check_count(len(work.asked), work.field)
    if served.sequences is not None:
        check_sequences(work.asked, served.sequences, work.field)
    has_slow_answer = served.task.has_slow_answers
    if request.precision is not None:
        served = call.served_with(request.precision, "precision")
    served.scheduler.metrics.count_items(work.num_items, work.num_unknown, work.num_missing)
    timeout_s = call.timeout_s(request.timeout_s, "timeout_s")
    priority = priority_of(request.priority, "priority")
    return Asked(
        served, work.asked, work.field, timeout_s, priority, answer, has_slow_answer=has_slow_answer
    )


def answer_of(task: Task, work: Work, results: Any) -> Answer:
    """The predictions, as JSON."""
    manifest = task.manifest
    body = {
        "model": manifest.name,
        "version": manifest.version,
        "predictions": work.answer(results),
    }
    return Answer(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY))


def _describe(task: Task) -> dict[str, Any]:
    manifest = task.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "family": manifest.family,
        "task": manifest.task,
        "batching": manifest.batching,
        "explains": manifest.outputs.weights is not None,
        "limits": manifest.limits.model_dump(),
        "quality": _quality(manifest) if isinstance(manifest, Manifest) else None,
        **task.describe(),
    }


def _quality(manifest: Manifest) -> dict[str, Any]:
    return manifest.quality.model_dump() | {"beaten_by": manifest.quality.beaten_by}
