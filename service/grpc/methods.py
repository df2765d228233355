"""The service's simple methods, by name: each answers the fields of its response."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.datastructures import State

from service.api import metadata
from service.api.repository import check_allowed, load_change, unload_change
from service.errors import ModelNotFoundError, ModelNotReadyError, UnimplementedError
from service.repository.repository import Repository

Method = Callable[[State, Any], Awaitable[dict[str, Any]]]
"""Of the application's state and a request's message."""


async def server_live(state: State, request: Any) -> dict[str, Any]:
    """The process answers."""
    return {"live": True}


async def server_ready(state: State, request: Any) -> dict[str, Any]:
    """Whether all is loaded and the server is not stopping."""
    return {"ready": metadata.is_ready(state)}


async def model_ready(state: State, request: Any) -> dict[str, Any]:
    """Whether this model answers; one that is not there does not."""
    try:
        _served(state, request)
    except (ModelNotFoundError, ModelNotReadyError):
        return {"ready": False}
    return {"ready": True}


async def server_metadata(state: State, request: Any) -> dict[str, Any]:
    """Name, version and the extensions that are there."""
    return metadata.server_metadata()


async def model_metadata(state: State, request: Any) -> dict[str, Any]:
    """The model's tensors."""
    served, repository = _served(state, request), state.repository
    fields = metadata.model_metadata(served, repository.versions(served.name))
    fields.pop("properties", None)  # for which there is no field
    return fields


async def repository_index(state: State, request: Any) -> dict[str, Any]:
    """Every model, refused ones included."""
    return {"models": metadata.repository_index(state.repository, request.ready)}


async def repository_model_load(state: State, request: Any) -> dict[str, Any]:
    """Load a model, or load it again."""
    check_allowed(state.settings)
    change = await asyncio.to_thread(
        load_change,
        request.model_name,
        _parameters(request),
        state.settings.max_upload_bytes,
    )
    await state.apply(change)
    return {}


async def repository_model_unload(state: State, request: Any) -> dict[str, Any]:
    """Unload a model, once what it was asked is answered."""
    check_allowed(state.settings)
    await state.apply(unload_change(request.model_name, _parameters(request)))
    return {}


METHODS: dict[str, Method] = {
    "ServerLive": server_live,
    "ServerReady": server_ready,
    "ModelReady": model_ready,
    "ServerMetadata": server_metadata,
    "ModelMetadata": model_metadata,
    "RepositoryIndex": repository_index,
    "RepositoryModelLoad": repository_model_load,
    "RepositoryModelUnload": repository_model_unload,
}


def refuse(method: str) -> UnimplementedError:
    """Why there is no answer to a method that is not in `METHODS`."""
    if "SharedMemory" in method:
        return UnimplementedError(
            f"{method}: memory is not shared with clients, tensors travel in messages"
        )
    return UnimplementedError(f"this server has no {method}")


def _parameters(request: Any) -> dict[str, str | bool | int | bytes]:
    """Each by its one value; a file's is its content, as bytes."""
    chosen = {
        name: value.WhichOneof("parameter_choice") for name, value in request.parameters.items()
    }
    return {
        name: getattr(request.parameters[name], choice) for name, choice in chosen.items() if choice
    }


def _served(state: State, request: Any) -> Any:
    repository: Repository = state.repository
    return repository.get(request.name, request.version or None)
