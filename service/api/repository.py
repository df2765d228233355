"""The repository of models: its index, and what loads and unloads them."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.api.documents import INDEX_DOCUMENT, LOAD_DOCUMENT, UNLOAD_DOCUMENT
from service.api.metadata import repository_index
from service.api.routes import RawRoute, decoded, read_json
from service.calls.services import Services
from service.codec.bodies import decode_json
from service.errors import ForbiddenError, InvalidRequestError, PayloadTooLargeError
from service.repository.changes import Load, Unload
from service.settings import Settings, max_load_bytes
from service.telemetry.audit import note_change

router = APIRouter(prefix="/v2/repository", tags=["Open Inference Protocol"], route_class=RawRoute)

FILE = "file:"

Parameters = Mapping[str, str | bool | int | float | bytes]


class IndexRequest(msgspec.Struct):
    """The body of a request for the index; may be left out."""

    ready: bool = False


class ControlRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request to load or unload; may be left out."""

    parameters: dict[str, str | bool | int | float] = {}


@router.post("/index", openapi_extra=INDEX_DOCUMENT, summary="Every version of every model")
async def index(request: Request) -> Response:
    """Name, version, state and, where it does not serve as it should, the reason."""
    services: Services = request.app.state.services
    body = await read_json(request, services.settings.max_body_bytes)
    only_ready = (await decoded(request, INDEX, body)).ready if body else False
    entries = repository_index(request.app.state, only_ready)
    return Response(msgspec.json.encode(entries), media_type="application/json")


@router.post(
    "/models/{name}/load",
    openapi_extra=LOAD_DOCUMENT,
    response_class=Response,
    summary="Load a model",
)
async def load(request: Request) -> Response:
    """Load a model, or load it again: what serves goes on until the new one is warm."""
    settings: Settings = request.app.state.settings
    name = request.path_params["name"]
    note_change("load", name)
    check_allowed(settings)
    uploads = request.app.state.services.uploads
    body = await read_json(request, max_load_bytes(settings), uploads)

    def read() -> Load:
        return load_change(name, _parameters(body), settings.max_upload_bytes)

    change = await asyncio.to_thread(read)  # files are long
    note_load(change)
    await request.app.state.apply(change)
    return Response()


@router.post(
    "/models/{name}/unload",
    openapi_extra=UNLOAD_DOCUMENT,
    response_class=Response,
    summary="Unload a model",
)
async def unload(request: Request) -> Response:
    """Unload a model, once what it was asked is answered."""
    settings: Settings = request.app.state.settings
    name = request.path_params["name"]
    note_change("unload", name)
    check_allowed(settings)
    body = await read_json(request, settings.max_body_bytes)
    parameters = (await decoded(request, CONTROL, body)).parameters if body else {}
    await request.app.state.apply(unload_change(name, parameters))
    return Response()


def check_allowed(settings: Settings) -> None:
    """Refuse to change the models, or what is logged, where that is switched off.

    Raises:
        ForbiddenError: It is.
    """
    if not settings.controls_models:
        raise ForbiddenError(
            "requests can't change this server's models and logs: it listens beyond this machine "
            "without API keys, or allow_model_control is false; set api_keys, or "
            "SEQSERVE_ALLOW_MODEL_CONTROL=true to allow it to all"
        )


def load_change(name: str, parameters: Parameters, max_upload_bytes: int) -> Load:
    """What a request to load a model asks; files are bytes, or strings of base64.

    Raises:
        InvalidRequestError: A parameter is unknown, or not as it should be.
        PayloadTooLargeError: The files are more than `max_upload_bytes`.
    """
    parameters = dict(parameters)
    config = parameters.pop("config", None)
    if config is not None and not isinstance(config, str):
        field = "parameters.config"
        raise InvalidRequestError(f"{field} must be a string of JSON", field)
    files: dict[str, bytes] = {}
    for key in [key for key in parameters if key.startswith(FILE)]:
        files[key.removeprefix(FILE)] = _content(parameters.pop(key), f"parameters.{key}")
        if sum(map(len, files.values())) > max_upload_bytes:
            raise PayloadTooLargeError(
                f"the files exceed the limit of {max_upload_bytes} bytes in all", "parameters"
            )
    _refuse_unknown(parameters)
    return Load(name, config, files)


def note_load(change: Load) -> None:
    """Note for the log what a request loads: the repository's files, or its own."""
    if change.files:
        sizes = {"files": len(change.files), "num_bytes": sum(map(len, change.files.values()))}
        note_change("upload", change.name, **sizes)
    else:
        note_change("load", change.name)


def unload_change(name: str, parameters: Parameters) -> Unload:
    """What a request to unload a model asks.

    Raises:
        InvalidRequestError: A parameter is unknown, or not as it should be.
    """
    parameters = dict(parameters)
    dependents = parameters.pop("unload_dependents", False)  # no model here has any
    if not isinstance(dependents, bool):
        field = "parameters.unload_dependents"
        raise InvalidRequestError(f"{field} must be true or false", field)
    _refuse_unknown(parameters)
    return Unload(name)


def _parameters(body: bytes) -> Parameters:
    return decode_json(CONTROL, body).parameters if body else {}


def _refuse_unknown(parameters: Parameters) -> None:
    for key in parameters:
        raise InvalidRequestError(f"parameters.{key} is unknown", f"parameters.{key}")


def _content(content: object, field: str) -> bytes:
    if isinstance(content, bytes):
        return content
    if not isinstance(content, str):
        raise InvalidRequestError(f"{field} must be a string of base64", field)
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError(f"{field} is not base64: {error}", field) from None


INDEX = msgspec.json.Decoder(IndexRequest)
CONTROL = msgspec.json.Decoder(ControlRequest)
