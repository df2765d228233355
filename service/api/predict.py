"""The task level, /v1: recordings or frames in, labels out."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import msgspec
import numpy as np
import orjson
from fastapi import APIRouter
from numpy.typing import NDArray
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from service.api.documents import MODELS_DOCUMENT, PREDICT_DOCUMENT
from service.api.routes import RawRoute, endpoint
from service.calls.asked import Asked, Handler
from service.calls.call import Call
from service.calls.exchange import Answer
from service.calls.services import Services
from service.codec.bodies import decode_json, priority_of, wrong_field
from service.codec.simd import read_sequences
from service.codec.tensors import check_sequence, check_sequences, sequence_array
from service.errors import InvalidRequestError, InvalidSequenceError, UnsupportedMediaTypeError
from service.graphs.model import Arrays
from service.graphs.spec import spec_of
from service.manifest import Manifest
from service.repository.served import Served
from service.tasks.audio import read_recording
from service.tasks.classification import MAX_TOP_K, classify

router = APIRouter(prefix="/v1", tags=["task level"], route_class=RawRoute)

JSON_TYPES = {"application/json"}
RECORDING_TYPES = {
    "audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave",
    "audio/flac", "audio/x-flac", "audio/ogg", "application/octet-stream",
}  # fmt: skip


class PredictOptions(msgspec.Struct, forbid_unknown_fields=True):
    """How to answer; in the query where the body is a recording."""

    top_k: int = 1
    explain: bool = False
    timeout_s: float | None = None
    precision: str | None = None
    priority: int = 0


class PredictRequest(PredictOptions):
    """The JSON body: frames in `sequences`, or recordings in base64 in `audio`."""

    sequences: list[list[list[float]]] | None = None
    audio: str | list[str] | None = None


Sequences = list[NDArray[np.float32]]


@router.get("/models", openapi_extra=MODELS_DOCUMENT, summary="The models that serve")
async def models(request: Request) -> Response:
    """Every model that answers, with what it takes, its labels and its measured quality."""
    services: Services = request.app.state.services
    ready = [entry.loaded.served for entry in services.repository.index() if entry.loaded]
    bundles = [served.manifest for served in ready if served.manifest]
    body = {"models": [_describe(manifest) for manifest in bundles]}
    return Response(msgspec.json.encode(body), media_type="application/json")


def predict(call: Call, body: bytes) -> Asked | Callable[[], Asked]:
    """Label each sequence of the request, in its order."""
    served = call.served
    kind = call.head.content_type
    if kind not in JSON_TYPES and kind not in RECORDING_TYPES:
        raise UnsupportedMediaTypeError(
            f"content type {kind or '(none)'} is neither application/json nor a recording "
            "(audio/wav, audio/flac, audio/ogg)",
            "Content-Type",
        )
    if kind in RECORDING_TYPES:  # needs a Fourier transform: never on the event loop
        return partial(_read, call, body, served, _parse_recording)
    if len(body) > call.settings.inline_body_bytes:
        return partial(_read, call, body, served, _parse_json)
    return _read(call, body, served, _parse_json)


PREDICT = Handler("v1", predict)
router.post("/models/{name}/predict", openapi_extra=PREDICT_DOCUMENT, summary="Label sequences")(
    endpoint(PREDICT)
)


class Parsed(NamedTuple):
    """What a request asks for."""

    options: PredictOptions
    sequences: Sequences
    field: str  # of the request, that they came in


def _read(
    call: Call, body: bytes, served: Served, parse: Callable[[Call, bytes, Manifest], Parsed]
) -> Asked:
    manifest = served.manifest
    if manifest is None:
        raise InvalidRequestError(
            f"{served.name} takes tensors, not a task's input: ask /v2/models/{served.name}/infer",
            "name",
        )
    options, sequences, field = parse(call, body, manifest)
    if options.precision is not None:
        served = call.served_with(options.precision, "precision")
    timeout_s = call.timeout_s(options.timeout_s, "timeout_s")
    priority = priority_of(options.priority, "priority")
    lengths = [len(sequence) for sequence in sequences]
    answer = partial(_answer, manifest, options, lengths)
    return Asked(served, sequences, field, timeout_s, priority, answer)


def _parse_json(call: Call, body: bytes, manifest: Manifest) -> Parsed:
    plain = read_plain(body)
    if plain is not None:
        options, sequences, field = plain
        _check_top_k(options.top_k)
        call.check_count(len(sequences), field)
    else:
        options, sequences, field = _decoded(call, body, manifest)
    check_sequences(sequences, spec_of(manifest), field)
    return Parsed(options, sequences, field)


def read_plain(body: bytes) -> Parsed | None:
    """A request whose sequences are read straight to arrays; None if it is not plain."""
    found = read_sequences(body)
    if found is None:
        return None
    try:
        return Parsed(msgspec.convert(found[0], PredictOptions), found[1], "sequences")
    except msgspec.ValidationError:  # the decoder words it
        return None


def _decoded(call: Call, body: bytes, manifest: Manifest) -> Parsed:
    request = decode_json(DECODER, body)
    _check_top_k(request.top_k)
    if (request.sequences is None) == (request.audio is None):
        raise InvalidRequestError("give either sequences or audio", "sequences")
    if request.sequences is not None:
        call.check_count(len(request.sequences), "sequences")
        sequences = [
            sequence_array(rows, f"sequences[{index}]")
            for index, rows in enumerate(request.sequences)
        ]
        return Parsed(request, sequences, "sequences")
    recordings = request.audio if isinstance(request.audio, list) else [request.audio or ""]
    call.check_count(len(recordings), "audio")
    fields = [f"audio[{index}]" for index in range(len(recordings))]
    sequences = [
        _frames(_from_base64(text, field), manifest, field)
        for text, field in zip(recordings, fields, strict=True)
    ]
    return Parsed(request, sequences, "audio")


def _parse_recording(call: Call, body: bytes, manifest: Manifest) -> Parsed:
    """A recording as the body, the options in the query."""
    query = dict(QueryParams(call.head.query))
    try:
        options = msgspec.convert(query, PredictOptions, strict=False)
    except msgspec.ValidationError as error:
        raise wrong_field(error) from None
    _check_top_k(options.top_k)
    sequence = _frames(body, manifest, "audio")
    check_sequence(sequence, spec_of(manifest), "audio")
    return Parsed(options, [sequence], "audio")


def _frames(recording: bytes, manifest: Manifest, field: str) -> NDArray[np.float32]:
    """Frames (time, features) of a recording, as this model was trained on."""
    if manifest.audio is None:
        raise InvalidSequenceError(f"{manifest.name} takes sequences, not recordings", field)
    max_duration_s = manifest.limits.max_length * manifest.audio.hop_ms / 1_000
    try:
        samples, sample_rate_hz = read_recording(recording, max_duration_s)
        return manifest.audio.frames(samples, sample_rate_hz)
    except InvalidSequenceError as error:  # which can't know which of several it was
        raise InvalidSequenceError(f"{field}: {error.message}", field) from error


def _from_base64(text: str, field: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError(f"{field} is not base64: {error}", field) from None


def _check_top_k(top_k: int) -> None:
    if not 1 <= top_k <= MAX_TOP_K:
        raise InvalidRequestError(f"top_k must be 1 to {MAX_TOP_K}, not {top_k}", "top_k")


def _answer(
    manifest: Manifest, options: PredictOptions, lengths: list[int], results: Arrays
) -> Answer:
    names = manifest.outputs
    predictions: list[dict[str, Any]] = []
    for row, length in enumerate(lengths):
        logits = results[names.logits][row]
        prediction: dict[str, Any] = {**classify(logits, names.labels, options.top_k)}
        if options.explain:  # null: this family has no attention to show
            weights = results[names.weights][row, :length] if names.weights else None
            prediction["attention"] = weights
        predictions.append(prediction)
    body = {"model": manifest.name, "version": manifest.version, "predictions": predictions}
    return Answer(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY))


def _describe(manifest: Manifest) -> dict[str, Any]:
    return {
        "name": manifest.name,
        "version": manifest.version,
        "family": manifest.family,
        "task": manifest.task,
        "batching": manifest.batching,
        "labels": manifest.outputs.labels,
        "features": manifest.inputs.features,
        "audio": manifest.audio.model_dump() if manifest.audio else None,
        "explains": manifest.outputs.weights is not None,
        "limits": manifest.limits.model_dump(),
        "quality": manifest.quality.model_dump(),
    }


DECODER = msgspec.json.Decoder(PredictRequest)
