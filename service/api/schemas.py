"""What the OpenAPI description is built of."""

from __future__ import annotations

from typing import Any

import msgspec

Schema = dict[str, Any]

EXAMPLE_MODEL = "digits-lstm"
JSON_TYPE, BINARY_TYPE = "application/json", "application/octet-stream"

NUMBER: Schema = {"type": "number"}
INTEGER: Schema = {"type": "integer"}
STRING: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
BINARY: Schema = {"type": "string", "format": "binary"}

REFUSALS = {
    "400": "Malformed: not JSON, a field of the wrong type, a shape against its data",
    "403": "Models can't be changed by requests here",
    "404": "Unknown model or version",
    "413": "Body over the limit",
    "415": "Content type or encoding that is not read",
    "422": "Input that does not fit the model, as by its width, or an answer that is NaN",
    "429": "The queue is full; see Retry-After",
    "500": "The graph failed",
    "501": "A part of the protocol that is not here",
    "503": "The model is loading, refused, quarantined or out of memory, or the server is stopping",
    "504": "The deadline passed",
    "507": "There is no room for the files of an upload",
}


def array_of(items: Schema) -> Schema:
    """An array's schema."""
    return {"type": "array", "items": items}


def object_of(properties: Schema, required: list[str] | None = None) -> Schema:
    """An object's schema; without `required`, all of it is."""
    required = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": required}


def schema_of(kind: type) -> Schema:
    """The schema of a type that msgspec knows, with all that it refers to put in its place."""
    (schema,), parts = msgspec.json.schema_components([kind], ref_template="{name}")
    found: Schema = _inlined(schema, parts)
    return found


def _inlined(schema: Any, parts: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(item, parts) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(parts[schema["$ref"]], parts)
    return {key: _inlined(value, parts) for key, value in schema.items()}


def parameter(name: str, where: str, schema: Schema, text: str) -> Schema:
    """A parameter of an operation, in its `path` or `query`, or a `header`."""
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "description": text,
        "schema": schema,
    }


def json_of(schema: Schema, **examples: Any) -> Schema:
    """The content of a body that is JSON."""
    return {JSON_TYPE: {"schema": schema, **({"examples": examples} if examples else {})}}


def responses(schema: Schema, refusals: list[str], **more: Schema) -> Schema:
    """What an operation answers.

    Args:
        schema: Of what it answers in JSON.
        refusals: The statuses of its refusals.
        more: What else the answer may be, by the content's type.
    """
    refused = {
        status: {"description": REFUSALS[status], "content": json_of(ERROR)} for status in refusals
    }
    answer = {"description": "The answer", "content": json_of(schema) | more}
    return {"200": answer, **refused}


def versioned(document: Schema) -> Schema:
    """The same operation on a path that names the version too."""
    return {**document, "parameters": [*document["parameters"], VERSION]}


ERROR = object_of({"error": STRING, "code": STRING, "field": STRING}, ["error", "code"])

MODEL_NAME = parameter(
    "name", "path", {"type": "string", "default": EXAMPLE_MODEL}, "As GET /v1/models lists it."
)
VERSION = parameter(
    "version", "path", {"type": "string", "default": "1"}, "One that serves, or an alias of it."
)
