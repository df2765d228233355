"""The OpenAPI description of the raw routes, with examples that answer when pasted."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import soundfile

EXAMPLE_MODEL = "digits-lstm"
NUM_FEATURES = 40  # of the bundled models


def _example_frames(num_steps: int) -> list[list[float]]:
    """Frames of a plausible loudness: log powers between silence and speech."""
    values = np.random.default_rng(num_steps).normal(-10.0, 3.0, (num_steps, NUM_FEATURES))
    rounded: list[list[float]] = values.round(1).tolist()
    return rounded


def _example_recording() -> str:
    """A WAV of a tone, 0.1 s at 8 kHz, in base64."""
    seconds = np.arange(800) / 8_000
    file = io.BytesIO()
    tone = 0.3 * np.sin(2 * np.pi * 440 * seconds)
    soundfile.write(file, tone, 8_000, format="WAV", subtype="PCM_U8")
    return base64.b64encode(file.getvalue()).decode()


def _parameter(name: str, where: str, schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "description": text,
        "schema": schema,
    }


_NUMBER: dict[str, Any] = {"type": "number"}
_INTEGER: dict[str, Any] = {"type": "integer"}
_STRING: dict[str, Any] = {"type": "string"}


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}


_MODEL_NAME = _parameter(
    "name", "path", {"type": "string", "default": EXAMPLE_MODEL}, "As GET /v1/models lists it."
)

_VERSION = _parameter(
    "version", "path", {"type": "string", "default": "1"}, "One that serves, or an alias of it."
)


def versioned(document: dict[str, Any]) -> dict[str, Any]:
    """The same operation on a path that names the version too."""
    return {**document, "parameters": [*document["parameters"], _VERSION]}


_ERROR = _object({"error": _STRING, "code": _STRING, "field": _STRING}, ["error", "code"])
_REFUSALS = {
    "400": "Malformed: not JSON, a field of the wrong type, a shape against its data",
    "403": "Models can't be changed by requests here",
    "404": "Unknown model or version",
    "413": "Body over the limit",
    "415": "Content type that is not read",
    "422": "Input that does not fit the model: width, length, NaN",
    "429": "The queue is full; see Retry-After",
    "500": "The graph failed",
    "503": "The model is loading, refused, or the server is stopping",
    "504": "The deadline passed",
}


def _responses(schema: dict[str, Any], refusals: list[str]) -> dict[str, Any]:
    refused = {
        status: {
            "description": _REFUSALS[status],
            "content": {"application/json": {"schema": _ERROR}},
        }
        for status in refusals
    }
    answer = {"description": "The answer", "content": {"application/json": {"schema": schema}}}
    return {"200": answer, **refused}


_RANKED = {"label": _STRING, "probability": _NUMBER}
_PREDICTION = _object(
    {
        **_RANKED,
        "top": _array(_object(_RANKED, list(_RANKED))),
        "attention": {
            "anyOf": [_array(_NUMBER), {"type": "null"}],
            "description": "with `explain`: a weight a step, summing to 1; null if the family "
            "has no attention",
        },
    },
    ["label", "probability", "top"],
)

_PREDICT_BODY = _object(
    {
        "sequences": {
            **_array(_array(_array(_NUMBER))),
            "description": "sequences x steps x features; lengths may differ",
        },
        "audio": {
            "anyOf": [_STRING, _array(_STRING)],
            "description": "instead of sequences: recordings (WAV, FLAC, Ogg) in base64",
        },
        "top_k": {**_INTEGER, "minimum": 1, "default": 1},
        "explain": {"type": "boolean", "default": False},
        "timeout_s": {**_NUMBER, "exclusiveMinimum": 0},
        "precision": {"anyOf": [_STRING, {"type": "null"}], "description": "fp32 or int8"},
        "priority": {
            **_INTEGER,
            "minimum": 0,
            "description": "1 comes first, 3 last; 0 is 2",
        },
    },
    [],
)

PREDICT_DOCUMENT: dict[str, Any] = {
    "parameters": [
        _MODEL_NAME,
        _parameter("top_k", "query", {**_INTEGER, "default": 1}, "For a recording as the body."),
        _parameter("explain", "query", {"type": "boolean"}, "For a recording as the body."),
        _parameter("timeout_s", "query", _NUMBER, "For a recording as the body."),
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": _PREDICT_BODY,
                "examples": {
                    "frames": {
                        "summary": "Two sequences of frames, of different lengths",
                        "value": {
                            "sequences": [_example_frames(3), _example_frames(2)],
                            "top_k": 3,
                            "explain": True,
                        },
                    },
                    "recording": {
                        "summary": "A recording in base64",
                        "value": {"audio": _example_recording(), "top_k": 3},
                    },
                },
            },
            "audio/wav": {"schema": {"type": "string", "format": "binary"}},
            "audio/flac": {"schema": {"type": "string", "format": "binary"}},
            "audio/ogg": {"schema": {"type": "string", "format": "binary"}},
        },
    },
    "responses": _responses(
        _object(
            {"model": _STRING, "version": _STRING, "predictions": _array(_PREDICTION)},
            ["model", "version", "predictions"],
        ),
        [status for status in _REFUSALS if status != "403"],
    ),
}

MODELS_DOCUMENT: dict[str, Any] = {
    "responses": _responses(_object({"models": _array({"type": "object"})}, ["models"]), [])
}

MODEL_DOCUMENT: dict[str, Any] = {
    "parameters": [_MODEL_NAME],
    "responses": _responses({"type": "object"}, ["404", "503"]),
}

_PARAMETERS = _object({"parameters": {"type": "object"}}, [])


def _control(refusals: list[str], **examples: Any) -> dict[str, Any]:
    return {
        "parameters": [_MODEL_NAME],
        "requestBody": {
            "required": False,
            "content": {"application/json": {"schema": _PARAMETERS, "examples": examples}},
        },
        "responses": {**_responses({}, refusals), "200": {"description": "Done; no body"}},
    }


INDEX_DOCUMENT: dict[str, Any] = {
    "requestBody": {
        "required": False,
        "content": {
            "application/json": {
                "schema": _object({"ready": {"type": "boolean", "default": False}}, [])
            }
        },
    },
    "responses": _responses(
        _array(
            _object(
                {"name": _STRING, "version": _STRING, "state": _STRING, "reason": _STRING},
                ["name", "version", "state", "reason"],
            )
        ),
        ["400"],
    ),
}
LOAD_DOCUMENT = _control(
    ["400", "403", "404", "413"],
    versions={
        "summary": "With the two highest versions",
        "value": {"parameters": {"config": '{"versions": {"latest": 2}}'}},
    },
)
UNLOAD_DOCUMENT = _control(["400", "403", "404"])  # an example would take the model away

_TENSOR = {"name": _STRING, "shape": _array(_INTEGER), "datatype": _STRING, "data": _array({})}

INFER_DOCUMENT: dict[str, Any] = {
    "parameters": [_MODEL_NAME],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": _object(
                    {
                        "id": _STRING,
                        "inputs": _array(_object(_TENSOR, list(_TENSOR))),
                        "outputs": _array(_object({"name": _STRING}, ["name"])),
                        "parameters": {"type": "object"},
                    },
                    ["inputs"],
                ),
                "examples": {
                    "frames": {
                        "summary": "Two rows, the second only 2 steps long",
                        "value": {
                            "id": "example",
                            "inputs": [
                                {
                                    "name": "inputs",
                                    "shape": [2, 3, NUM_FEATURES],
                                    "datatype": "FP32",
                                    "data": [
                                        _example_frames(3),
                                        [*_example_frames(2), [0.0] * NUM_FEATURES],
                                    ],
                                },
                                {
                                    "name": "lengths",
                                    "shape": [2],
                                    "datatype": "INT64",
                                    "data": [3, 2],
                                },
                            ],
                        },
                    }
                },
            }
        },
    },
    "responses": _responses(
        _object(
            {
                "model_name": _STRING,
                "model_version": _STRING,
                "id": _STRING,
                "outputs": _array(_object(_TENSOR, list(_TENSOR))),
            },
            ["model_name", "outputs"],
        ),
        [status for status in _REFUSALS if status != "403"],
    ),
}
