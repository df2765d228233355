"""What the server says of itself and of its models, over any protocol."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from starlette.datastructures import State

from service.graphs.spec import TensorSpec
from service.repository.repository import Repository
from service.repository.served import Served
from service.security.gate import caller_may
from service.security.keys import Scope

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


def repository_index(state: State, only_ready: bool) -> list[dict[str, str]]:
    """Name, version, state and, where a bundle was refused or is quarantined, the reason.

    Where files lie on this machine is told to admins alone, where there are API keys.

    Args:
        state: Of the application.
        only_ready: Leave the others out.
    """
    repository: Repository = state.repository
    entries = [entry.as_seen() for entry in repository.index()]
    is_told = state.gate is None or caller_may(Scope.ADMIN)
    told: Callable[[str], str] = str if is_told else repository.without_folders
    return [
        {"name": told(e.name), "version": e.version, "state": e.state, "reason": told(e.reason)}
        for e in entries
        if e.state == "READY" or not only_ready
    ]


def _input(tensor: TensorSpec, batches: bool) -> dict[str, object]:
    """As Triton's clients know it; they may as well leave the axis of one out."""
    extra = (1,) if tensor.is_single(batches) else ()
    return _described(tensor._replace(shape=(*tensor.shape, *extra)))


def _described(tensor: TensorSpec) -> dict[str, object]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
