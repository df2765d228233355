"""The service's simple methods, by name: each answers the fields of its response."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.datastructures import State

from service.api import metadata
from service.api.extensions import logs
from service.api.extensions.configuration import model_configuration
from service.api.extensions.logs import change_logging
from service.api.extensions.statistics import statistics_of
from service.api.extensions.trace import OFF, change_trace
from service.api.repository import check_allowed, load_change, note_load, unload_change
from service.codec.bodies import wrong_field
from service.errors import ModelNotFoundError, ModelNotReadyError, UnsupportedError
from service.grpc.messages import parameters_of
from service.repository.repository import Repository
from service.telemetry.audit import note_change

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
        served = _served(state, request)
    except (ModelNotFoundError, ModelNotReadyError):
        return {"ready": False}
    return {"ready": not served.scheduler.is_quarantined}


async def server_metadata(state: State, request: Any) -> dict[str, Any]:
    """Name, version and the extensions that are there."""
    return metadata.server_metadata()


async def model_metadata(state: State, request: Any) -> dict[str, Any]:
    """The model's tensors."""
    served, repository = _served(state, request), state.repository
    return metadata.model_metadata(served, repository.versions(served.name))


async def model_config(state: State, request: Any) -> dict[str, Any]:
    """How the model is run."""
    served, services = _served(state, request), state.services
    versions = services.repository.versions(served.name)
    return {"config": model_configuration(served, versions, services.settings)}


async def model_statistics(state: State, request: Any) -> dict[str, Any]:
    """Counts and times of a model, or of all."""
    return {**statistics_of(state.services, request.name or None, request.version or None)}


async def log_settings(state: State, request: Any) -> dict[str, Any]:
    """What is logged, from now on."""
    wanted = {name: _value(value) for name, value in request.settings.items()}
    if wanted:
        return _log_settings(change_logging(state.settings, _log_wanted(wanted)))
    return _log_settings(logs.log_settings())


async def trace_setting(state: State, request: Any) -> dict[str, Any]:
    """What is traced: as the server's settings say."""
    if request.model_name:
        state.repository.get(request.model_name)
    wanted = {name: _trace_value(name, value.value) for name, value in request.settings.items()}
    found = change_trace(wanted, state.settings)
    listed = {name: [value] if isinstance(value, str) else value for name, value in found.items()}
    return {"settings": {name: {"value": values} for name, values in listed.items()}}


async def repository_index(state: State, request: Any) -> dict[str, Any]:
    """Every model, refused ones included."""
    return {"models": metadata.repository_index(state, request.ready)}


async def repository_model_load(state: State, request: Any) -> dict[str, Any]:
    """Load a model, or load it again."""
    note_change("load", request.model_name)
    check_allowed(state.settings)
    change = await asyncio.to_thread(
        load_change,
        request.model_name,
        parameters_of(request.parameters),
        state.settings.max_upload_bytes,
    )
    note_load(change)
    await state.apply(change)
    return {}


async def repository_model_unload(state: State, request: Any) -> dict[str, Any]:
    """Unload a model, once what it was asked is answered."""
    note_change("unload", request.model_name)
    check_allowed(state.settings)
    await state.apply(unload_change(request.model_name, parameters_of(request.parameters)))
    return {}


METHODS: dict[str, Method] = {
    "ServerLive": server_live,
    "ServerReady": server_ready,
    "ModelReady": model_ready,
    "ServerMetadata": server_metadata,
    "ModelMetadata": model_metadata,
    "ModelConfig": model_config,
    "ModelStatistics": model_statistics,
    "LogSettings": log_settings,
    "TraceSetting": trace_setting,
    "RepositoryIndex": repository_index,
    "RepositoryModelLoad": repository_model_load,
    "RepositoryModelUnload": repository_model_unload,
}


def refuse(method: str) -> UnsupportedError:
    """Why there is no answer to a method that is not in `METHODS`."""
    if "SharedMemory" in method:
        return UnsupportedError(
            f"{method}: memory is not shared with clients, tensors travel in messages"
        )
    return UnsupportedError(f"this server has no {method}")


def _value(setting: Any) -> Any:
    choice = setting.WhichOneof("parameter_choice")
    return getattr(setting, choice) if choice else None


def _log_wanted(wanted: dict[str, Any]) -> logs.LogSettings:
    try:
        return msgspec.convert(wanted, logs.LogSettings)
    except msgspec.ValidationError as error:
        raise wrong_field(error, "settings") from None


def _log_settings(found: dict[str, object]) -> dict[str, Any]:
    kinds = {bool: "bool_param", int: "uint32_param", str: "string_param"}
    return {"settings": {name: {kinds[type(value)]: value} for name, value in found.items()}}


def _trace_value(name: str, values: Any) -> Any:
    """As REST has it: one value, or a list of levels; none asks for what was at the start."""
    given = list(values)
    if not given:
        return None
    return given if isinstance(OFF.get(name), list) else given[0]


def _served(state: State, request: Any) -> Any:
    repository: Repository = state.repository
    return repository.get(request.name, request.version or None)
