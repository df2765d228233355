"""The repository of models: its index, and what loads and unloads them."""

from __future__ import annotations

import asyncio
import base64
import binascii

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.api.documents import INDEX_DOCUMENT, LOAD_DOCUMENT, UNLOAD_DOCUMENT
from service.api.routes import RawRoute, read_body
from service.api.services import Services
from service.codec.bodies import decode_json
from service.errors import ForbiddenError, InvalidRequestError, PayloadTooLargeError
from service.repository.changes import Load, Unload

router = APIRouter(prefix="/v2/repository", tags=["Open Inference Protocol"], route_class=RawRoute)

FILE = "file:"


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
    body = await read_body(request, services.settings.max_body_bytes)
    only_ready = decode_json(INDEX, body).ready if body else False
    entries = [
        {"name": e.name, "version": e.version, "state": e.state, "reason": e.reason}
        for e in services.repository.index()
        if e.state == "READY" or not only_ready
    ]
    return Response(msgspec.json.encode(entries), media_type="application/json")


@router.post(
    "/models/{name}/load",
    openapi_extra=LOAD_DOCUMENT,
    response_class=Response,
    summary="Load a model",
)
async def load(request: Request) -> Response:
    """Load a model, or load it again: what serves goes on until the new one is warm."""
    settings = _allowed(request).settings
    max_bytes = settings.max_body_bytes + settings.max_upload_bytes * 4 // 3  # base64
    body = await read_body(request, max_bytes)
    name = request.path_params["name"]
    # in a thread: files are long
    change = await asyncio.to_thread(_read_load, name, body, settings.max_upload_bytes)
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
    settings = _allowed(request).settings
    body = await read_body(request, settings.max_body_bytes)
    parameters = _parameters(body)
    dependents = parameters.pop("unload_dependents", False)  # no model here has any
    if not isinstance(dependents, bool):
        field = "parameters.unload_dependents"
        raise InvalidRequestError(f"{field} must be true or false", field)
    _refuse_unknown(parameters)
    await request.app.state.apply(Unload(request.path_params["name"]))
    return Response()


def _allowed(request: Request) -> Services:
    services: Services = request.app.state.services
    if not services.settings.controls_models:
        raise ForbiddenError(
            "this server's models can't be changed by requests: it listens beyond this machine, "
            "or allow_model_control is false; set SEQSERVE_ALLOW_MODEL_CONTROL=true to allow it"
        )
    return services


def _read_load(name: str, body: bytes, max_upload_bytes: int) -> Load:
    parameters = _parameters(body)
    config = parameters.pop("config", None)
    if config is not None and not isinstance(config, str):
        field = "parameters.config"
        raise InvalidRequestError(f"{field} must be a string of JSON", field)
    files: dict[str, bytes] = {}
    for key in [key for key in parameters if key.startswith(FILE)]:
        files[key.removeprefix(FILE)] = _decoded(parameters.pop(key), f"parameters.{key}")
        if sum(map(len, files.values())) > max_upload_bytes:
            raise PayloadTooLargeError(
                f"the files exceed the limit of {max_upload_bytes} bytes in all", "parameters"
            )
    _refuse_unknown(parameters)
    return Load(name, config, files)


def _parameters(body: bytes) -> dict[str, str | bool | int | float]:
    return decode_json(CONTROL, body).parameters if body else {}


def _refuse_unknown(parameters: dict[str, str | bool | int | float]) -> None:
    for key in parameters:
        raise InvalidRequestError(f"parameters.{key} is unknown", f"parameters.{key}")


def _decoded(content: object, field: str) -> bytes:
    if not isinstance(content, str):
        raise InvalidRequestError(f"{field} must be a string of base64", field)
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError(f"{field} is not base64: {error}", field) from None


INDEX = msgspec.json.Decoder(IndexRequest)
CONTROL = msgspec.json.Decoder(ControlRequest)
