"""The Open Inference Protocol, version 2, over REST: JSON and binary tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from service.api.answers import WantedOutput, infer_answer
from service.api.binary import LENGTH_HEADER, Blobs, json_bytes
from service.api.bodies import decode_json
from service.api.calls import Asked, Call, Handler, Services, priority_of
from service.api.documents import INFER_DOCUMENT, MODEL_DOCUMENT, versioned
from service.api.plans import Plan, Plans
from service.api.routes import RawRoute, endpoint
from service.api.simd import read_infer
from service.api.tensors import check_sequences, tensor_array
from service.errors import InvalidRequestError, UnsupportedMediaTypeError
from service.manifest import Manifest
from service.repository import Served

router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"], route_class=RawRoute)

Parameters = dict[str, str | int | float | bool]


class Tensor(msgspec.Struct):
    """One input tensor; its `data` is left out where it is binary."""

    name: str
    shape: list[int]
    datatype: str
    data: Any = msgspec.UNSET
    parameters: Parameters = {}


class RequestedOutput(msgspec.Struct):
    """One output that the caller wants."""

    name: str
    parameters: Parameters = {}


class InferRequest(msgspec.Struct):
    """The body of an inference request."""

    inputs: list[Tensor]
    id: str | None = None
    outputs: list[RequestedOutput] | None = None
    parameters: Parameters = {}


@router.get("/models/{name}", openapi_extra=MODEL_DOCUMENT, summary="Model metadata")
@router.get("/models/{name}/versions/{version}", openapi_extra=versioned(MODEL_DOCUMENT))
async def metadata(request: Request) -> Response:
    """The model's tensors; -1 is an axis of any size."""
    services: Services = request.app.state.services
    path = request.path_params
    manifest = services.repository.get(path["name"], path.get("version")).manifest
    inputs = manifest.inputs
    body = {
        "name": manifest.name,
        "versions": [manifest.version],
        "platform": "onnx_onnxv1",
        "inputs": [
            {"name": inputs.name, "datatype": "FP32", "shape": [-1, -1, manifest.num_features]},
            {"name": inputs.lengths, "datatype": "INT64", "shape": [-1]},
        ],
        "outputs": [
            {"name": name, "datatype": "FP32", "shape": shape}
            for name, shape in _output_shapes(manifest).items()
        ],
    }
    return Response(msgspec.json.encode(body), media_type="application/json")


def infer(call: Call, body: bytes) -> Asked | Callable[[], Asked]:
    """Run a batch of sequences, padded to one length, `lengths` saying how long each really is.

    Without `lengths`, every row is as long as the time axis. Padding is never computed with: rows
    are scheduled one by one and answered in their order.
    """
    served = call.served
    header = call.head.json_length
    if not header and call.head.content_type == "application/octet-stream":
        raise UnsupportedMediaTypeError(
            f"binary tensors come behind JSON whose length {LENGTH_HEADER} says; "
            "without that header, send JSON alone",
            "Content-Type",
        )
    call.check_encoding()
    length = json_bytes(header, body)
    # a binary tensor is only looked through for what is not finite
    if length + (len(body) - length) // 16 > call.settings.inline_body_bytes:
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
    manifest = served.manifest
    plan = PLANS.get(manifest.sha256, body, length)
    if plan is None:
        plan = _planned(body, length, manifest)
        PLANS.keep(manifest.sha256, body, length, plan)
    arrays = plan.arrays_of(body, length)
    names = manifest.inputs
    sequences = _rows(call, arrays[names.name], arrays.get(names.lengths), manifest)
    if plan.precision is not None:
        served = call.served_with(plan.precision, "parameters.precision")
    timeout_s = call.timeout_s(plan.wanted_s, "parameters.timeout")
    answer = partial(infer_answer, manifest, plan.request_id, plan.outputs)
    return Asked(served, sequences, names.name, timeout_s, plan.priority, answer)


def _planned(body: bytes, length: int, manifest: Manifest) -> Plan:
    """Read what the JSON says, and check it."""
    # where numbers are binary, the JSON before them is short
    request = decode(body) if length == len(body) else decode_json(DECODER, body[:length])
    blobs = Blobs(len(body) - length)
    arrays: dict[str, NDArray[Any]] = {}
    seen: set[str] = set()
    datatypes = {manifest.inputs.name: "FP32", manifest.inputs.lengths: "INT64"}
    for index, tensor in enumerate(request.inputs):
        field = f"inputs[{index}]"
        if tensor.name not in datatypes or tensor.name in seen:
            raise InvalidRequestError(
                f"{field}.name {tensor.name!r} is not one of {', '.join(datatypes)}, each once",
                f"{field}.name",
            )
        if tensor.datatype != datatypes[tensor.name]:
            raise InvalidRequestError(
                f"{field}.datatype is {tensor.datatype}, {manifest.name} takes "
                f"{datatypes[tensor.name]} for {tensor.name}",
                f"{field}.datatype",
            )
        seen.add(tensor.name)
        if (array := array_of(tensor, blobs, field)) is not None:
            arrays[tensor.name] = array
    blobs.check_end()
    if manifest.inputs.name not in seen:
        raise InvalidRequestError(f"inputs has no tensor {manifest.inputs.name!r}", "inputs")
    parameters = request.parameters
    precision = parameters.get("precision")
    return Plan(
        request.id,
        None if precision is None else str(precision),
        priority_of(parameters.get("priority", 0), "parameters.priority"),
        _wanted_s(parameters),
        _wanted_outputs(request, manifest),
        arrays,
        blobs.places,
        blobs.num_bytes,
    )


def decode(body: bytes) -> InferRequest:
    """The request, its `data` arrays already where it is plain JSON.

    Raises:
        InvalidRequestError: See `decode_json`.
    """
    plain = read_infer(body)
    if plain is not None:
        try:
            return msgspec.convert(plain, InferRequest)
        except msgspec.ValidationError:
            pass  # the decoder words it
    return decode_json(DECODER, body)


def array_of(tensor: Tensor, blobs: Blobs, field: str) -> NDArray[Any] | None:
    """A tensor's values, or None where they are binary and `blobs` notes their place.

    Args:
        tensor: As described in JSON; its `data` may be an array already.
        blobs: What follows the JSON.
        field: Where in the request it is.

    Raises:
        InvalidRequestError: They are missing, there twice, or against the shape or the datatype.
    """
    size = tensor.parameters.get("binary_data_size")
    if size is None:
        if tensor.data is msgspec.UNSET:
            raise InvalidRequestError(
                f"{field}.data: Object missing required field `data`", f"{field}.data"
            )
        if isinstance(tensor.data, np.ndarray):
            return tensor.data
        return tensor_array(tensor.data, tensor.shape, tensor.datatype, field)
    if tensor.data is not msgspec.UNSET:
        raise InvalidRequestError(
            f"{field} has both data and binary_data_size: give one", f"{field}.data"
        )
    blobs.take(tensor.name, size, tensor.shape, tensor.datatype, field)
    return None


def _rows(
    call: Call,
    inputs: NDArray[np.float32],
    lengths: NDArray[np.int64] | None,
    manifest: Manifest,
) -> list[NDArray[np.float32]]:
    """Cut (batch, time, features) into checked sequences of their true lengths."""
    names = manifest.inputs
    if inputs.ndim != 3:
        raise InvalidRequestError(
            f"{names.name} has shape {list(inputs.shape)}, not (batch, time, features)", names.name
        )
    batch_size, num_steps = inputs.shape[:2]
    call.check_count(batch_size, names.name)
    if lengths is None:
        counts = [num_steps] * batch_size
    elif lengths.shape == (batch_size,):
        counts = lengths.tolist()
    else:
        raise InvalidRequestError(
            f"{names.lengths} has shape {list(lengths.shape)}, {names.name} has {batch_size} rows",
            names.lengths,
        )
    if not (min(counts) >= 0 and max(counts) <= num_steps):
        raise InvalidRequestError(
            f"{names.lengths} must lie in 1..{num_steps}, the time axis of {names.name}",
            names.lengths,
        )
    sequences = [inputs[row, :length] for row, length in enumerate(counts)]
    check_sequences(sequences, manifest, names.name, inputs)
    return sequences


def _output_shapes(manifest: Manifest) -> dict[str, list[int]]:
    shapes = {manifest.outputs.logits: [-1, len(manifest.outputs.labels)]}
    if manifest.outputs.weights:
        shapes[manifest.outputs.weights] = [-1, -1]
    return shapes


def _wanted_outputs(request: InferRequest, manifest: Manifest) -> list[WantedOutput]:
    outputs = manifest.outputs
    names = [outputs.logits, outputs.weights] if outputs.weights else [outputs.logits]
    all_binary = _flag(request.parameters, "binary_data_output", False, "parameters")
    if not request.outputs:
        return [WantedOutput(name, all_binary) for name in names]
    wanted = []
    for index, output in enumerate(request.outputs):
        field = f"outputs[{index}]"
        if output.name not in names:
            raise InvalidRequestError(
                f"{field}.name {output.name!r} is none of {', '.join(names)}", f"{field}.name"
            )
        is_binary = _flag(output.parameters, "binary_data", all_binary, f"{field}.parameters")
        wanted.append(WantedOutput(output.name, is_binary))
    return wanted


def _flag(parameters: Parameters, name: str, default: bool, within: str) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise InvalidRequestError(f"{within}.{name} must be true or false", f"{within}.{name}")
    return value


def _wanted_s(parameters: Parameters) -> float | None:
    """`timeout` of the schedule policy extension is in microseconds; 0 is the server's own."""
    timeout_us = parameters.get("timeout", 0)
    if (
        isinstance(timeout_us, bool)
        or not isinstance(timeout_us, int)
        or not 0 <= timeout_us < 1 << 64
    ):
        raise InvalidRequestError(
            "parameters.timeout must be microseconds, an unsigned integer", "parameters.timeout"
        )
    return timeout_us / 1e6 if timeout_us else None


DECODER = msgspec.json.Decoder(InferRequest)
PLANS = Plans()
