"""The OpenAPI description of the extensions."""

from __future__ import annotations

from service.api.schemas import (
    BOOLEAN,
    INTEGER,
    MODEL_NAME,
    STRING,
    Schema,
    array_of,
    json_of,
    object_of,
    parameter,
    responses,
)

_DURATION = object_of({"count": INTEGER, "ns": INTEGER})
_STAGES = ("compute_input", "compute_infer", "compute_output")
_STATISTICS = object_of(
    {
        "model_stats": array_of(
            object_of(
                {
                    "name": STRING,
                    "version": STRING,
                    "last_inference": {**INTEGER, "description": "ms since 1970; 0: none yet"},
                    "inference_count": {**INTEGER, "description": "rows that were computed"},
                    "execution_count": {**INTEGER, "description": "runs of the graph"},
                    "inference_stats": object_of(
                        dict.fromkeys(
                            ("success", "fail", "queue", *_STAGES, "cache_hit", "cache_miss"),
                            _DURATION,
                        )
                    ),
                    "response_stats": {"type": "object"},
                    "batch_stats": array_of(
                        object_of({"batch_size": INTEGER, **dict.fromkeys(_STAGES, _DURATION)})
                    ),
                    "memory_usage": array_of({}),
                }
            )
        )
    }
)

ALL_STATISTICS_DOCUMENT: Schema = {"responses": responses(_STATISTICS, [])}
STATISTICS_DOCUMENT: Schema = {
    "parameters": [MODEL_NAME],
    "responses": responses(_STATISTICS, ["404", "503"]),
}

_TENSOR = object_of({"name": STRING, "data_type": STRING, "dims": array_of(INTEGER)})
CONFIGURATION_DOCUMENT: Schema = {
    "parameters": [MODEL_NAME],
    "responses": responses(
        object_of(
            {
                "name": STRING,
                "platform": STRING,
                "backend": STRING,
                "max_batch_size": {**INTEGER, "description": "rows of one run; 0: does not batch"},
                "input": array_of(_TENSOR),
                "output": array_of(_TENSOR),
                "version_policy": {"type": "object"},
                "dynamic_batching": {"type": "object"},
                "parameters": {"type": "object"},
            },
            ["name", "platform", "backend", "max_batch_size", "input", "output"],
        ),
        ["404", "503"],
    ),
}

_LOGGING = {
    "log_file": {**STRING, "description": "only empty: standard error"},
    "log_info": BOOLEAN,
    "log_warning": BOOLEAN,
    "log_error": BOOLEAN,
    "log_verbose_level": {**INTEGER, "minimum": 0, "description": "above 0: debug"},
    "log_format": STRING,
}
LOGGING_DOCUMENT: Schema = {"responses": responses(object_of(_LOGGING), [])}
SET_LOGGING_DOCUMENT: Schema = {
    "requestBody": {
        "required": True,
        "content": json_of(
            {**object_of(_LOGGING, []), "additionalProperties": False},
            usual={"summary": "Log as at the start", "value": {"log_info": True}},
        ),
    },
    "responses": responses(object_of(_LOGGING), ["400", "413", "415", "501"]),
}

_TRACE = {
    "trace_file": STRING,
    "trace_level": array_of(STRING),
    "trace_rate": STRING,
    "trace_count": STRING,
    "log_frequency": STRING,
    "trace_mode": STRING,
}
TRACE_DOCUMENT: Schema = {"responses": responses(object_of(_TRACE), [])}
MODEL_TRACE_DOCUMENT: Schema = {
    "parameters": [MODEL_NAME],
    "responses": responses(object_of(_TRACE), ["404", "503"]),
}
_SET_TRACE: Schema = {
    "required": True,
    "content": json_of(
        {**object_of(_TRACE, []), "additionalProperties": False},
        off={"summary": "Leave it off", "value": {"trace_level": ["OFF"]}},
    ),
}
SET_TRACE_DOCUMENT: Schema = {
    "requestBody": _SET_TRACE,
    "responses": responses(object_of(_TRACE), ["400", "413", "415", "501"]),
}
SET_MODEL_TRACE_DOCUMENT: Schema = {
    "parameters": [MODEL_NAME],
    "requestBody": _SET_TRACE,
    "responses": responses(object_of(_TRACE), ["400", "404", "413", "415", "501", "503"]),
}

_REGION = parameter("region", "path", STRING, "None is ever registered.")
STATUS_DOCUMENT: Schema = {"responses": responses(array_of({}), [])}
UNREGISTER_DOCUMENT: Schema = {"responses": responses({"type": "object"}, [])}
REGION_STATUS_DOCUMENT: Schema = {
    "parameters": [_REGION],
    "responses": responses(array_of({}), ["404"]),
}
REGISTER_DOCUMENT: Schema = {"parameters": [_REGION], "responses": responses({}, ["501"])}
REGION_DOCUMENT: Schema = {"parameters": [_REGION], "responses": responses({"type": "object"}, [])}
