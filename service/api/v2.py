"""The Open Inference Protocol, version 2, over REST: JSON and binary tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service import native
from service.api.answers import answer_template, infer_answer
from service.api.documents import INFER_DOCUMENT, MODEL_DOCUMENT, NAMES_DOCUMENT
from service.api.metadata import model_metadata
from service.api.routes import RawRoute, endpoint
from service.api.schemas import versioned
from service.calls.asked import Asked, Handler
from service.calls.call import Call
from service.calls.infer import ask
from service.calls.services import Services
from service.codec.binary import LENGTH_HEADER, json_bytes
from service.codec.bodies import BYTE_ORDER_MARK
from service.codec.compression import WORTH_BYTES
from service.codec.infer import InferBody, check_written, read_body
from service.codec.plans import numbers_of
from service.codec.raw import read_raw
from service.errors import UnsupportedMediaTypeError
from service.repository.served import Served

NUMBER_BYTES = 12  # of one in JSON, about

router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"], route_class=RawRoute)


@router.get("/models", openapi_extra=NAMES_DOCUMENT, summary="The models that serve")
async def models(request: Request) -> Response:
    """Their names; `POST /v2/repository/index` has the others too."""
    services: Services = request.app.state.services
    names = dict.fromkeys(entry.name for entry in services.repository.index() if entry.loaded)
    return Response(msgspec.json.encode({"models": list(names)}), media_type="application/json")


@router.get("/models/{name}", openapi_extra=MODEL_DOCUMENT, summary="Model metadata")
@router.get("/models/{name}/versions/{version}", openapi_extra=versioned(MODEL_DOCUMENT))
async def metadata(request: Request) -> Response:
    """The model's tensors; -1 is an axis of any size."""
    services: Services = request.app.state.services
    path = request.path_params
    served = services.repository.get(path["name"], path.get("version"))
    body = model_metadata(served, services.repository.versions(served.name))
    return Response(msgspec.json.encode(body), media_type="application/json")


def infer(call: Call, body: bytes) -> Asked | Callable[[], Asked]:
    """Run a batch of sequences, padded to one length, `lengths` saying how long each really is.

    Without `lengths`, every row is as long as the time axis. Padding is never computed with: rows
    are scheduled one by one and answered in their order.
    """
    served = call.served
    header = call.head.json_length
    # a client that does not say what it sends (aiohttp) sends JSON under that type too
    begins_json = body.startswith((b"{", BYTE_ORDER_MARK))
    is_binary = call.head.content_type == "application/octet-stream" and not begins_json
    if not header and is_binary:
        raise UnsupportedMediaTypeError(
            f"binary tensors come behind JSON whose length {LENGTH_HEADER} says; "
            "without that header, send JSON alone",
            "Content-Type",
        )
    length = json_bytes(header, body)
    # binary numbers are only looked through for what is not finite
    has_strings = any(spec.datatype == "BYTES" for spec in served.signature.inputs)
    read_bytes = length + (len(body) - length) // (1 if has_strings else 16)
    if read_bytes > call.settings.inline_body_bytes:
        return partial(_read, call, body, length, served)
    return _read(call, body, length, served)


INFER = Handler("v2", infer)
for _path, _document in (
    ("/models/{name}/infer", INFER_DOCUMENT),
    ("/models/{name}/versions/{version}/infer", versioned(INFER_DOCUMENT)),
):
    router.post(_path, openapi_extra=_document, summary="Infer")(endpoint(INFER))


def _read(call: Call, body: bytes, length: int, served: Served) -> Asked:
    """What is asked, and of which sequences."""
    is_raw = bool(body) and not length
    signature = served.signature
    read = read_raw(body, signature) if is_raw else read_body(body, length, signature)
    if served.sequences is None:
        check_written(read)
    answer = partial(infer_answer, served, read.request_id, read.outputs)
    # the lane knows by heart what came as it is, to a model that is always the same
    is_plain = not (is_raw or call.head.content_encoding or call.routed.varies)
    return ask(call, read, answer, partial(_plan, call, read, body, length) if is_plain else None)


def _plan(
    call: Call, read: InferBody, body: bytes, length: int, served: Served
) -> native.Plan | None:
    """What to do with every request that says the same beside numbers and id; None if it varies."""
    spec = served.sequences
    if spec is None or not spec.suits_lane or len(spec.step_shape) != 1:
        return None  # the lane knows no other numbers
    if any(output.num_classes for output in read.outputs):
        return None  # their names are no numbers
    numbers = numbers_of(read, body, length, spec)
    if numbers is None:
        return None
    lengths = numbers.lengths
    if not lengths:
        per_step = {output.name for output in spec.outputs if output.per_step}
        if any(output.name in per_step for output in read.outputs):
            return None  # their shape follows the lengths
        lengths = [1] * numbers.batch
    timeout_s = call.settings.request_timeout_s
    if call.head.accepted_coding and spec.num_values(lengths) * NUMBER_BYTES > WORTH_BYTES:
        return None  # the answer may be compressed
    template = answer_template(served, read.request_id is not None, read.outputs, lengths)
    return native.Plan(
        **numbers._asdict(),
        scheduler=served.scheduler.core,
        max_length=spec.max_length,
        priority=read.priority,
        timeout_s=min(read.wanted_s or timeout_s, timeout_s),
        elapsed_s=call.tally_of("ok"),
        **template._asdict(),
    )
