"""The OpenAPI description of the raw routes, with examples that answer when pasted."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
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
from service.tasks.frames import NUM_FEATURES, example_frames
from service.tasks.registry import TASKS


def _example_recording() -> str:
    """A WAV of a tone, 0.1 s at 8 kHz, in base64."""
    seconds = np.arange(800) / 8_000
    file = io.BytesIO()
    tone = 0.3 * np.sin(2 * np.pi * 440 * seconds)
    soundfile.write(file, tone, 8_000, format="WAV", subtype="PCM_U8")
    return base64.b64encode(file.getvalue()).decode()


def predictions_of(tasks: Iterable[str]) -> dict[str, Any]:
    """The schema of the answer by any of these tasks."""
    kinds = [{"$ref": f"#/components/schemas/{task}_prediction"} for task in tasks]
    predictions = array_of(kinds[0] if len(kinds) == 1 else {"anyOf": kinds})
    return object_of({"model": STRING, "version": STRING, "predictions": predictions})


def refused() -> list[str]:
    """The statuses with which a prediction may be refused."""
    return [status for status in REFUSALS if status not in ("403", "501")]


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
                "schema": {
                    "anyOf": [{"$ref": f"#/components/schemas/{task}_request"} for task in TASKS]
                },
                "examples": {
                    "frames": {
                        "summary": "Two sequences of frames, of different lengths",
                        "value": TASKS["classification"].example,
                    },
                    "recording": {
                        "summary": "A recording in base64",
                        "value": {"audio": _example_recording(), "top_k": 3},
                    },
                },
            },
            "audio/wav": {"schema": BINARY},
            "audio/flac": {"schema": BINARY},
            "audio/ogg": {"schema": BINARY},
        },
    },
    "responses": responses(predictions_of(TASKS), refused()),
}

MODELS_DOCUMENT: dict[str, Any] = {
    "responses": responses(object_of({"models": array_of({"type": "object"})}, ["models"]), [])
}

NAMES_DOCUMENT: dict[str, Any] = {
    "responses": responses(object_of({"models": array_of(STRING)}), [])
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
        ["400", "413", "415"],
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
    ["400", "403", "404", "413", "415", "507"],
    versions={
        "summary": "With the two highest versions",
        "value": {"parameters": {"config": '{"versions": {"latest": 2}}'}},
    },
)
UNLOAD_DOCUMENT = _control(
    ["400", "403", "404", "413", "415"]
)  # an example would take the model away
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
                                        example_frames(3),
                                        [*example_frames(2), [0.0] * NUM_FEATURES],
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
