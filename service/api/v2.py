"""The Open Inference Protocol, version 2, over REST in JSON."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from service.api.bodies import content_type, decode_json, decoded, read_body
from service.api.calls import Call, RawRoute, json_response
from service.api.documents import INFER_DOCUMENT, MODEL_DOCUMENT, versioned
from service.api.tensors import check_sequence, tensor_array
from service.engine.job import Result
from service.errors import InvalidRequestError, UnsupportedMediaTypeError
from service.manifest import Manifest

router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"], route_class=RawRoute)

Parameters = dict[str, str | int | float | bool]


class Tensor(msgspec.Struct):
    """One input tensor."""

    name: str
    shape: list[int]
    datatype: str
    data: Any
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
    manifest = Call(request, "v2").served().manifest
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
    return json_response(msgspec.json.encode(body))


@router.post("/models/{name}/infer", openapi_extra=INFER_DOCUMENT, summary="Infer")
@router.post("/models/{name}/versions/{version}/infer", openapi_extra=versioned(INFER_DOCUMENT))
async def infer(request: Request) -> Response:
    """Run a batch of sequences, padded to one length, `lengths` saying how long each really is.

    Without `lengths`, every row is as long as the time axis. Padding is never computed with: rows
    are scheduled one by one and answered in their order.
    """
    with Call(request, "v2") as call:
        served = call.served()
        if content_type(request) == "application/octet-stream":
            raise UnsupportedMediaTypeError("binary tensors are not read yet; send JSON")
        body = await read_body(request, call.settings.max_body_bytes)
        parse = partial(_parse, call, body, served.manifest)
        wanted, sequences = await decoded(parse, len(body), call.settings.inline_body_bytes)
        outputs = _wanted_outputs(wanted, served.manifest)
        timeout_s = _timeout_s(call, wanted.parameters)
        results = await call.infer(served, sequences, timeout_s, served.manifest.inputs.name)
        return json_response(_answer(served.manifest, results, wanted.id, outputs))


def _parse(
    call: Call, body: bytes, manifest: Manifest
) -> tuple[InferRequest, list[NDArray[np.float32]]]:
    request = decode_json(_DECODER, body)
    arrays: dict[str, NDArray[Any]] = {}
    datatypes = {manifest.inputs.name: "FP32", manifest.inputs.lengths: "INT64"}
    for index, tensor in enumerate(request.inputs):
        field = f"inputs[{index}]"
        if tensor.name not in datatypes or tensor.name in arrays:
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
        arrays[tensor.name] = tensor_array(tensor.data, tensor.shape, tensor.datatype, field)
    if manifest.inputs.name not in arrays:
        raise InvalidRequestError(f"inputs has no tensor {manifest.inputs.name!r}", "inputs")
    inputs = arrays[manifest.inputs.name]
    return request, _rows(call, inputs, arrays.get(manifest.inputs.lengths), manifest)


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
        lengths = np.full(batch_size, num_steps, dtype=np.int64)
    if lengths.shape != (batch_size,):
        raise InvalidRequestError(
            f"{names.lengths} has shape {list(lengths.shape)}, {names.name} has {batch_size} rows",
            names.lengths,
        )
    if lengths.size and not (lengths.min() >= 0 and lengths.max() <= num_steps):
        raise InvalidRequestError(
            f"{names.lengths} must lie in 1..{num_steps}, the time axis of {names.name}",
            names.lengths,
        )
    sequences = [inputs[row, :length] for row, length in enumerate(lengths)]
    for row, sequence in enumerate(sequences):
        check_sequence(sequence, manifest, f"{names.name}[{row}]")
    return sequences


def _output_shapes(manifest: Manifest) -> dict[str, list[int]]:
    shapes = {manifest.outputs.logits: [-1, len(manifest.outputs.labels)]}
    if manifest.outputs.weights:
        shapes[manifest.outputs.weights] = [-1, -1]
    return shapes


def _wanted_outputs(request: InferRequest, manifest: Manifest) -> list[str]:
    names = list(_output_shapes(manifest))
    if not request.outputs:
        return names
    for index, output in enumerate(request.outputs):
        if output.name not in names:
            field = f"outputs[{index}].name"
            raise InvalidRequestError(
                f"{field} {output.name!r} is none of {', '.join(names)}", field
            )
    return [output.name for output in request.outputs]


def _timeout_s(call: Call, parameters: Parameters) -> float:
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
    return call.timeout_s(timeout_us / 1e6 if timeout_us else None, "parameters.timeout")


def _answer(
    manifest: Manifest, results: list[Result], request_id: str | None, outputs: list[str]
) -> bytes:
    body: dict[str, Any] = {"model_name": manifest.name, "model_version": manifest.version}
    if request_id is not None:
        body["id"] = request_id
    body["outputs"] = []
    for name in outputs:
        if name == manifest.outputs.logits:
            array = np.stack([result.logits for result in results])
        else:
            array = _padded([r.weights for r in results if r.weights is not None])
        body["outputs"].append(
            {
                "name": name,
                "datatype": "FP32",
                "shape": list(array.shape),
                "data": array.ravel().tolist(),
            }
        )
    return msgspec.json.encode(body)


def _padded(rows: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Rows of their own lengths as one array (batch, longest), zero past each."""
    padded = np.zeros((len(rows), max(map(len, rows))), dtype=np.float32)
    for row, values in enumerate(rows):
        padded[row, : len(values)] = values
    return padded


_DECODER = msgspec.json.Decoder(InferRequest)
