"""The Open Inference Protocol, version 2, over REST: JSON and binary tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec
import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from service import native
from service.api.answers import answer_template, infer_answer
from service.api.calls import Asked, Call, Handler, Services
from service.api.documents import INFER_DOCUMENT, MODEL_DOCUMENT, versioned
from service.api.routes import RawRoute, endpoint
from service.codec.binary import LENGTH_HEADER, json_bytes
from service.codec.infer import InferBody, read_body
from service.codec.plans import numbers_of
from service.codec.tensors import check_sequences
from service.errors import InvalidRequestError, UnsupportedMediaTypeError
from service.manifest import Manifest
from service.repository.loading import Served

router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"], route_class=RawRoute)


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
        "versions": services.repository.versions(manifest.name),
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
    read = read_body(body, length, manifest)
    names = manifest.inputs
    sequences = _rows(call, read.arrays[names.name], read.arrays.get(names.lengths), manifest)
    if read.precision is not None:
        served = call.served_with(read.precision, "parameters.precision")
    timeout_s = call.timeout_s(read.wanted_s, "parameters.timeout")
    answer = partial(infer_answer, manifest, read.request_id, read.outputs)
    plan = None if call.routed.varies else partial(_plan, call, read, served, body, length)
    return Asked(served, sequences, names.name, timeout_s, read.priority, answer, plan)


def _plan(
    call: Call, read: InferBody, served: Served, body: bytes, length: int
) -> native.Plan | None:
    """What to do with every request that says the same beside its numbers; None if it varies."""
    manifest = served.manifest
    if len({output.is_binary for output in read.outputs}) > 1:
        return None  # a header says how long the JSON is, and that follows its numbers
    numbers = numbers_of(read, body, length, manifest)
    if numbers is None:
        return None
    lengths = numbers.lengths
    if not lengths:
        if any(output.name == manifest.outputs.weights for output in read.outputs):
            return None  # their shape follows the lengths
        lengths = [1] * numbers.batch
    timeout_s = call.settings.request_timeout_s
    template = answer_template(manifest, read.request_id, read.outputs, lengths)
    return native.Plan(
        **numbers._asdict(),
        scheduler=served.scheduler.core,
        max_length=manifest.limits.max_length,
        priority=read.priority,
        timeout_s=min(read.wanted_s or timeout_s, timeout_s),
        elapsed_s=call.tally_of("ok"),
        **template._asdict(),
    )


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
