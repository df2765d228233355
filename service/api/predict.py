"""The task level, /v1: recordings or frames in, labels out."""

from __future__ import annotations

import base64
import binascii
from functools import partial
from typing import Any

import msgspec
import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from service.api.bodies import content_type, decode_json, decoded, read_body, wrong_field
from service.api.calls import Call, RawRoute, json_response
from service.api.documents import MODELS_DOCUMENT, PREDICT_DOCUMENT
from service.api.tensors import check_sequence, sequence_array
from service.engine.job import Result
from service.errors import InvalidRequestError, InvalidSequenceError, UnsupportedMediaTypeError
from service.manifest import Manifest
from service.repository import Repository
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


class PredictRequest(PredictOptions):
    """The JSON body: frames in `sequences`, or recordings in base64 in `audio`."""

    sequences: list[list[list[float]]] | None = None
    audio: str | list[str] | None = None


Sequences = list[NDArray[np.float32]]


@router.get("/models", openapi_extra=MODELS_DOCUMENT, summary="The models that serve")
async def models(request: Request) -> Response:
    """Every model that answers, with what it takes, its labels and its measured quality."""
    repository: Repository = request.app.state.repository
    ready = [entry.served.manifest for entry in repository.index() if entry.served]
    body = {"models": [_describe(manifest) for manifest in ready]}
    return json_response(msgspec.json.encode(body))


@router.post("/models/{name}/predict", openapi_extra=PREDICT_DOCUMENT, summary="Label sequences")
async def predict(request: Request) -> Response:
    """Label each sequence of the request, in its order."""
    with Call(request, "v1") as call:
        served = call.served()
        kind = content_type(request)
        if kind not in JSON_TYPES | RECORDING_TYPES:
            raise UnsupportedMediaTypeError(
                f"content type {kind or '(none)'} is neither application/json nor a recording "
                "(audio/wav, audio/flac, audio/ogg)",
                "Content-Type",
            )
        body = await read_body(request, call.settings.max_body_bytes)
        parse = partial(_parse_json if kind in JSON_TYPES else _parse_recording, call, body)
        # recordings always need a Fourier transform: never on the event loop
        inline_bytes = call.settings.inline_body_bytes if kind in JSON_TYPES else -1
        options, sequences = await decoded(partial(parse, served.manifest), len(body), inline_bytes)
        timeout_s = call.timeout_s(options.timeout_s, "timeout_s")
        has_frames = isinstance(options, PredictRequest) and options.sequences is not None
        field = "sequences" if has_frames else "audio"
        results = await call.infer(served, sequences, timeout_s, field)
        return json_response(_answer(served.manifest, results, options))


def _parse_json(call: Call, body: bytes, manifest: Manifest) -> tuple[PredictRequest, Sequences]:
    options = decode_json(_DECODER, body)
    _check_top_k(options.top_k)
    if (options.sequences is None) == (options.audio is None):
        raise InvalidRequestError("give either sequences or audio", "sequences")
    if options.sequences is not None:
        call.check_count(len(options.sequences), "sequences")
        fields = [f"sequences[{index}]" for index in range(len(options.sequences))]
        sequences = [
            sequence_array(rows, field)
            for rows, field in zip(options.sequences, fields, strict=True)
        ]
    else:
        recordings = options.audio if isinstance(options.audio, list) else [options.audio or ""]
        call.check_count(len(recordings), "audio")
        fields = [f"audio[{index}]" for index in range(len(recordings))]
        sequences = [
            _frames(_from_base64(text, field), manifest, field)
            for text, field in zip(recordings, fields, strict=True)
        ]
    for sequence, field in zip(sequences, fields, strict=True):
        check_sequence(sequence, manifest, field)
    return options, sequences


def _parse_recording(
    call: Call, body: bytes, manifest: Manifest
) -> tuple[PredictOptions, Sequences]:
    """A recording as the body, the options in the query."""
    query = dict(call.request.query_params)
    try:
        options = msgspec.convert(query, PredictOptions, strict=False)
    except msgspec.ValidationError as error:
        raise wrong_field(error) from None
    _check_top_k(options.top_k)
    sequence = _frames(body, manifest, "audio")
    check_sequence(sequence, manifest, "audio")
    return options, [sequence]


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


def _answer(manifest: Manifest, results: list[Result], options: PredictOptions) -> bytes:
    predictions: list[dict[str, Any]] = []
    for result in results:
        labels = manifest.outputs.labels
        prediction: dict[str, Any] = {**classify(result.logits, labels, options.top_k)}
        if options.explain:  # null: this family has no attention to show
            weights = result.weights
            prediction["attention"] = None if weights is None else weights.tolist()
        predictions.append(prediction)
    return msgspec.json.encode(
        {"model": manifest.name, "version": manifest.version, "predictions": predictions}
    )


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


_DECODER = msgspec.json.Decoder(PredictRequest)
