"""What the server says of itself and of its models, over any protocol."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from starlette.datastructures import State

from service.graphs.spec import TensorSpec
from service.repository.repository import Repository
from service.repository.served import Served

EXTENSIONS = [
    "binary_tensor_data",
    "classification",
    "logging",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "parameters",
    "schedule_policy",
    "statistics",
]


def server_metadata() -> dict[str, object]:
    """Name, version and the extensions that are there."""
    return {"name": "seqserve", "version": version("seqserve"), "extensions": EXTENSIONS}


def is_ready(state: State) -> bool:
    """Whether all is loaded that should be, here and by the other workers, and it is not stopping.

    Args:
        state: Of the application.
    """
    repository: Repository = state.repository
    held_back = state.drain.has_begun or state.others_loading
    return repository.is_ready(state.settings.strict_readiness) and not held_back


def model_metadata(served: Served, versions: list[str]) -> dict[str, Any]:
    """A model's tensors, -1 an axis of any size, and all its versions that serve."""
    batches = served.scheduler.is_batchable
    body: dict[str, Any] = {
        "name": served.name,
        "versions": versions,
        "platform": "onnx_onnxv1",
        "inputs": [_input(tensor, batches) for tensor in served.signature.inputs],
        "outputs": [_described(tensor) for tensor in served.signature.outputs],
    }
    if served.properties:
        body["properties"] = served.properties
    return body


def repository_index(repository: Repository, only_ready: bool) -> list[dict[str, str]]:
    """Name, version, state and, where a bundle was refused or is quarantined, the reason."""
    entries = [entry.as_seen() for entry in repository.index()]
    return [
        {"name": e.name, "version": e.version, "state": e.state, "reason": e.reason}
        for e in entries
        if e.state == "READY" or not only_ready
    ]


def _input(tensor: TensorSpec, batches: bool) -> dict[str, object]:
    """As Triton's clients know it; they may as well leave the axis of one out."""
    extra = (1,) if tensor.is_single(batches) else ()
    return _described(tensor._replace(shape=(*tensor.shape, *extra)))


def _described(tensor: TensorSpec) -> dict[str, object]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
