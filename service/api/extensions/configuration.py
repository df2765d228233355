"""The model configuration extension: a model's settings in the words of Triton's `config.pbtxt`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request

from service.api.extensions.documents import CONFIGURATION_DOCUMENT
from service.api.schemas import versioned
from service.calls.services import Services
from service.graphs.spec import TensorSpec
from service.manifest import GRAPH_FILE
from service.repository.served import Served
from service.schedulers.job import NORMAL_PRIORITY, PATIENCE
from service.settings import Settings

router = APIRouter(prefix="/v2/models", tags=["Open Inference Protocol"])

TYPES = {"BYTES": "TYPE_STRING"}
"""Where the configuration's name of a datatype is not `TYPE_` and the protocol's."""


@router.get("/{name}/config", openapi_extra=CONFIGURATION_DOCUMENT, summary="Model configuration")
@router.get("/{name}/versions/{version}/config", openapi_extra=versioned(CONFIGURATION_DOCUMENT))
async def configuration(request: Request) -> dict[str, Any]:
    """How the model is run; where it batches, shapes are those of one row."""
    services: Services = request.app.state.services
    path = request.path_params
    served = services.repository.get(path["name"], path.get("version"))
    versions = services.repository.versions(served.name)
    return model_configuration(served, versions, services.settings)


def model_configuration(served: Served, versions: list[str], settings: Settings) -> dict[str, Any]:
    """A model's configuration; it says nothing that is not so.

    Args:
        served: The model.
        versions: Of it, that serve now.
        settings: Of the server.
    """
    batches = served.scheduler.is_batchable
    document: dict[str, Any] = {
        "name": served.name,
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
        "version_policy": {"specific": {"versions": [int(version) for version in versions]}},
        "max_batch_size": served.scheduler.bounds.max_batch_size if batches else 0,
        "input": [_input(spec, batches) for spec in served.signature.inputs],
        "output": [_tensor(spec, batches) for spec in served.signature.outputs],
        "instance_group": [
            {
                "name": f"{served.name}_0",
                "kind": "KIND_CPU",
                "count": served.scheduler.bounds.engine_threads,
            }
        ],
        "default_model_filename": GRAPH_FILE,
        "parameters": {
            name: {"string_value": value} for name, value in _parameters(served, settings).items()
        },
    }
    if batches:
        document["dynamic_batching"] = _dynamic_batching(settings)
    return document


def _input(spec: TensorSpec, batches: bool) -> dict[str, Any]:
    described = {**_tensor(spec, spec.has_rows(batches)), "format": "FORMAT_NONE"}
    if spec.is_single(batches):  # Triton's configurations have no empty dims
        described |= {"dims": [1], "reshape": {"shape": []}}
    return {**described, "optional": spec.is_optional}


def _tensor(spec: TensorSpec, has_rows: bool) -> dict[str, Any]:
    return {
        "name": spec.name,
        "data_type": TYPES.get(spec.datatype, f"TYPE_{spec.datatype}"),
        "dims": list(spec.shape[1:] if has_rows else spec.shape),
    }


def _dynamic_batching(settings: Settings) -> dict[str, Any]:
    """A batch is made the moment a thread is free, of what is due first; none waits for more."""
    return {
        "preferred_batch_size": [],
        "max_queue_delay_microseconds": 0,
        "preserve_ordering": False,
        "priority_levels": len(PATIENCE),
        "default_priority_level": NORMAL_PRIORITY,
        "default_queue_policy": {
            "timeout_action": "REJECT",
            "default_timeout_microseconds": round(1e6 * settings.request_timeout_s),
            "allow_timeout_override": True,
            "max_queue_size": settings.max_queue_size,
        },
    }


def _parameters(served: Served, settings: Settings) -> dict[str, str]:
    """Of this server alone."""
    ours = {"precision": served.precision, "sha256": served.sha256, **served.properties}
    if served.decodes:
        ours["batching"] = served.batching
    if (spec := served.sequences) is not None:
        ours.setdefault("batching", served.batching)  # unless there is more to say of it
        ours["max_length"] = str(spec.max_length)
        ours["max_request_sequences"] = str(settings.max_request_sequences)
    return ours
