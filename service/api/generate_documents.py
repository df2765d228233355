"""The requests of the routes that generate texts, and their OpenAPI description."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from service.api.schemas import (
    MODEL_NAME,
    REFUSALS,
    STRING,
    Schema,
    array_of,
    json_of,
    object_of,
    responses,
    schema_of,
)
from service.tasks.generation.request import GenerationRequest, Prediction
from service.tasks.generation.task import Generation


class GenerateRequest(GenerationRequest, kw_only=True):
    """Prompts to go on from, and how to tell the texts."""

    stream: Annotated[
        bool, Meta(description="tell the texts as they come, in server-sent events")
    ] = False


class TritonRequest(msgspec.Struct):
    """A prompt; the options of `/v1/models/{name}/generate` are in `parameters`, or beside it."""

    text_input: str
    id: str | None = None
    parameters: dict[str, Any] = {}


_EVENTS: Schema = {"text/event-stream": {"schema": STRING}}
_REFUSED = [status for status in REFUSALS if status not in ("403", "501")]


def _document(request: type, answer: Schema, example: Schema, **more: Schema) -> dict[str, Any]:
    examples = {"generation": {"summary": "of a model of texts", "value": example}}
    return {
        "parameters": [MODEL_NAME],
        "requestBody": {"required": True, "content": json_of(schema_of(request), **examples)},
        "responses": responses(answer, _REFUSED, **more),
    }


_PREDICTION = schema_of(Prediction)
_ANSWER = object_of({"model": STRING, "version": STRING, "predictions": array_of(_PREDICTION)})
_TRITON_ANSWER = object_of(
    {
        "id": STRING,
        "model_name": STRING,
        "model_version": STRING,
        "text_output": STRING,
        **{name: part for name, part in _PREDICTION["properties"].items() if name != "text"},
    },
    ["model_name", "model_version", "text_output"],
)
_TRITON_EXAMPLE = {"text_input": "ROMEO:", "parameters": {"max_tokens": 60, "temperature": 0.8}}

GENERATE_DOCUMENT = _document(GenerateRequest, _ANSWER, Generation.example, **_EVENTS)
TRITON_DOCUMENT = _document(TritonRequest, _TRITON_ANSWER, _TRITON_EXAMPLE)
TRITON_STREAM_DOCUMENT = _document(TritonRequest, _TRITON_ANSWER, _TRITON_EXAMPLE, **_EVENTS)
