"""The OpenAPI description of the raw routes, with examples that answer when pasted."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import soundfile

from service.api.schemas import (
    BINARY,
    BINARY_TYPE,
    BOOLEAN,
    INTEGER,
    JSON_TYPE,
    MODEL_NAME,
    NUMBER,
    REFUSALS,
    STRING,
    array_of,
    json_of,
    object_of,
    parameter,
    responses,
)
from service.datatypes import DATATYPES

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


_RANKED = {"label": STRING, "probability": NUMBER}
_PREDICTION = object_of(
    {
        **_RANKED,
        "top": array_of(object_of(_RANKED, list(_RANKED))),
        "attention": {
            "anyOf": [array_of(NUMBER), {"type": "null"}],
            "description": "with `explain`: a weight a step, summing to 1; null if the family "
            "has no attention",
        },
    },
    ["label", "probability", "top"],
)

_PREDICT_BODY = object_of(
    {
        "sequences": {
            **array_of(array_of(array_of(NUMBER))),
            "description": "sequences x steps x features; lengths may differ",
        },
        "audio": {
            "anyOf": [STRING, array_of(STRING)],
            "description": "instead of sequences: recordings (WAV, FLAC, Ogg) in base64",
        },
        "top_k": {**INTEGER, "minimum": 1, "default": 1},
        "explain": {"type": "boolean", "default": False},
        "timeout_s": {**NUMBER, "exclusiveMinimum": 0},
        "precision": {"anyOf": [STRING, {"type": "null"}], "description": "fp32 or int8"},
        "priority": {
            **INTEGER,
            "minimum": 0,
            "description": "1 comes first, 3 last; 0 is 2",
        },
    },
    [],
)

PREDICT_DOCUMENT: dict[str, Any] = {
    "parameters": [
        MODEL_NAME,
        parameter("top_k", "query", {**INTEGER, "default": 1}, "For a recording as the body."),
        parameter("explain", "query", {"type": "boolean"}, "For a recording as the body."),
        parameter("timeout_s", "query", NUMBER, "For a recording as the body."),
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
    "responses": responses(
        object_of(
            {"model": STRING, "version": STRING, "predictions": array_of(_PREDICTION)},
            ["model", "version", "predictions"],
        ),
        [status for status in REFUSALS if status not in ("403", "501")],
    ),
}

MODELS_DOCUMENT: dict[str, Any] = {
    "responses": responses(object_of({"models": array_of({"type": "object"})}, ["models"]), [])
}

MODEL_DOCUMENT: dict[str, Any] = {
    "parameters": [MODEL_NAME],
    "responses": responses({"type": "object"}, ["404", "503"]),
}

_READY = {"description": "Not now", "content": json_of(object_of({"ready": BOOLEAN}))}
READY_DOCUMENT: dict[str, Any] = {
    "responses": {**responses(object_of({"ready": BOOLEAN}), []), "503": _READY}
}
MODEL_READY_DOCUMENT: dict[str, Any] = {
    "parameters": [MODEL_NAME],
    "responses": {
        **responses(object_of({"name": STRING, "ready": BOOLEAN}), ["404"]),
        "503": _READY,
    },
}
INDEX_DOCUMENT: dict[str, Any] = {
    "requestBody": {
        "required": False,
        "content": json_of(object_of({"ready": {**BOOLEAN, "default": False}}, [])),
    },
    "responses": responses(
        array_of(object_of(dict.fromkeys(("name", "version", "state", "reason"), STRING))),
        ["400", "413"],
    ),
}
_CONTROL = object_of({"parameters": {"type": "object"}}, [])


def _control(refusals: list[str], **examples: Any) -> dict[str, Any]:
    return {
        "parameters": [MODEL_NAME],
        "requestBody": {"required": False, "content": json_of(_CONTROL, **examples)},
        "responses": {**responses({}, refusals), "200": {"description": "Done; no body"}},
    }


LOAD_DOCUMENT = _control(
    ["400", "403", "404", "413"],
    versions={
        "summary": "With the two highest versions",
        "value": {"parameters": {"config": '{"versions": {"latest": 2}}'}},
    },
)
UNLOAD_DOCUMENT = _control(["400", "403", "404", "413"])  # an example would take the model away
METRICS_DOCUMENT: dict[str, Any] = {
    "responses": {"200": {"description": "All metrics", "content": {"text/plain": {}}}}
}

_PARAMETERS = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number", "boolean"]},
}
_TENSOR = object_of(
    {
        "name": STRING,
        "shape": array_of({**INTEGER, "minimum": 0}),
        "datatype": {**STRING, "enum": list(DATATYPES)},
        "data": {"description": "flat or nested in the shape; left out where it is binary"},
        "parameters": _PARAMETERS,
    },
    ["name", "shape", "datatype"],
)
_OUTPUT = object_of({"name": STRING, "parameters": _PARAMETERS}, ["name"])

INFER_DOCUMENT: dict[str, Any] = {
    "parameters": [
        MODEL_NAME,
        parameter(
            "Inference-Header-Content-Length",
            "header",
            STRING,
            "How much of the body is JSON, binary tensors follow; 0: the body is one raw tensor.",
        ),
    ],
    "requestBody": {
        "required": True,
        "content": {
            BINARY_TYPE: {"schema": BINARY},
            JSON_TYPE: {
                "schema": object_of(
                    {
                        "id": STRING,
                        "inputs": array_of(_TENSOR),
                        "outputs": array_of(_OUTPUT),
                        "parameters": _PARAMETERS,
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
            },
        },
    },
    "responses": responses(
        object_of(
            {
                "model_name": STRING,
                "model_version": STRING,
                "id": STRING,
                "outputs": array_of(_TENSOR),
            },
            ["model_name", "outputs"],
        ),
        [status for status in REFUSALS if status != "403"],
        **{BINARY_TYPE: {"schema": BINARY}},
    ),
}
