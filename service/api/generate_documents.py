"""The requests of the routes that generate texts, and their OpenAPI description."""

from __future__ import annotations

import copy
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from service.api.documents import refused
from service.api.schemas import (
    JSON_TYPE,
    MODEL_NAME,
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


def _document(request: type, answer: Schema, **more: Schema) -> dict[str, Any]:
    return {
        "parameters": [MODEL_NAME],
        "requestBody": {"required": True, "content": json_of(schema_of(request))},
        "responses": responses(answer, refused(), **more),
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

GENERATE_DOCUMENT = _document(GenerateRequest, _ANSWER, **_EVENTS)
TRITON_DOCUMENT = _document(TritonRequest, _TRITON_ANSWER)
TRITON_STREAM_DOCUMENT = _document(TritonRequest, _TRITON_ANSWER, **_EVENTS)

_TRITON_EXAMPLE = {"text_input": "ROMEO:", "parameters": {"max_tokens": 60, "temperature": 0.8}}


def add_example(paths: dict[str, Any], task: Generation) -> None:
    """Have the routes of a document that generate ask a model that serves."""
    for path, methods in paths.items():
        if not path.endswith(("/generate", "/generate_stream")):
            continue
        operation = copy.deepcopy(methods["post"])
        operation["parameters"][0]["schema"]["default"] = task.manifest.name
        if len(operation["parameters"]) > 1:
            operation["parameters"][1]["schema"]["default"] = task.manifest.version
        value = task.example if path.startswith("/v1") else _TRITON_EXAMPLE
        content = operation["requestBody"]["content"][JSON_TYPE]
        content["examples"] = {"prompt": {"summary": "Answered when pasted", "value": value}}
        methods["post"] = operation
