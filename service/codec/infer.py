"""An Open Inference request's body: what it asks, and its tensors as arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.codec.binary import Blobs, Place
from service.codec.bodies import decode_json, priority_of
from service.codec.simd import read_infer
from service.codec.tensors import tensor_array
from service.errors import InvalidRequestError
from service.graphs.model import Arrays
from service.graphs.spec import Signature

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


class WantedOutput(NamedTuple):
    """One tensor of the answer."""

    name: str
    is_binary: bool


class InferBody(NamedTuple):
    """What a request's body asks."""

    request_id: str | None
    precision: str | None
    priority: int
    wanted_s: float | None
    outputs: list[WantedOutput]
    arrays: Arrays
    """Every input tensor by name; binary ones in the body's own memory."""
    places: Sequence[Place]
    """Of the binary ones, in bytes after the JSON."""
    num_bytes: int
    """Of all binary ones."""


def read_body(body: bytes, length: int, signature: Signature) -> InferBody:
    """What a request asks, and its input tensors.

    Args:
        body: Of the request.
        length: Of its JSON; binary tensors follow.
        signature: Of the model that it is for.

    Raises:
        InvalidRequestError: Something is not as the protocol and the model say; its field named.
    """
    # where numbers are binary, the JSON before them is short
    request = decode(body) if length == len(body) else decode_json(DECODER, body[:length])
    blobs = Blobs(len(body) - length)
    arrays = read_tensors(request.inputs, signature, partial(array_of, blobs))
    blobs.check_end()
    for place in blobs.places:
        start = length + place.start
        arrays[place.name] = np.ndarray(place.shape, place.dtype, body, start)
    return what_is_asked(request, signature, arrays, blobs.places, blobs.num_bytes)


def read_tensors(
    tensors: Sequence[Tensor],
    signature: Signature,
    array_of: Callable[[int, Tensor], NDArray[Any] | None],
) -> Arrays:
    """A request's input tensors by name, held against what the model takes.

    Args:
        tensors: As the request describes them.
        signature: Of the model.
        array_of: Of a tensor and its place among them, its values; None where they come later.

    Raises:
        InvalidRequestError: One is unknown, there twice, of another type, or missing.
    """
    arrays: Arrays = {}
    seen: set[str] = set()
    taken = {spec.name: spec for spec in signature.inputs}
    for index, tensor in enumerate(tensors):
        field = f"inputs[{index}]"
        if tensor.name not in taken or tensor.name in seen:
            raise InvalidRequestError(
                f"{field}.name {tensor.name!r} is not one of {', '.join(taken)}, each once",
                f"{field}.name",
            )
        if tensor.datatype != taken[tensor.name].datatype:
            raise InvalidRequestError(
                f"{field}.datatype is {tensor.datatype}, the model takes "
                f"{taken[tensor.name].datatype} for {tensor.name}",
                f"{field}.datatype",
            )
        seen.add(tensor.name)
        if (array := array_of(index, tensor)) is not None:
            arrays[tensor.name] = array
    for spec in signature.inputs:
        if spec.name not in seen and not spec.is_optional:
            raise InvalidRequestError(f"inputs has no tensor {spec.name!r}", "inputs")
    return arrays


def what_is_asked(
    request: InferRequest,
    signature: Signature,
    arrays: Arrays,
    places: Sequence[Place] = (),
    num_bytes: int = 0,
) -> InferBody:
    """What a request asks beside its tensors; see `InferBody`.

    Raises:
        InvalidRequestError: A parameter or an output is not as the protocol and the model say.
    """
    parameters = request.parameters
    precision = parameters.get("precision")
    return InferBody(
        request.id,
        None if precision is None else str(precision),
        priority_of(parameters.get("priority", 0), "parameters.priority"),
        _wanted_s(parameters),
        _wanted_outputs(request, signature),
        arrays,
        places,
        num_bytes,
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


def array_of(blobs: Blobs, index: int, tensor: Tensor) -> NDArray[Any] | None:
    """A tensor's values, or None where they are binary and `blobs` notes their place.

    Args:
        blobs: What follows the JSON.
        index: Of the tensor in the request.
        tensor: As described in JSON; its `data` may be an array already.

    Raises:
        InvalidRequestError: They are missing, there twice, or against the shape or the datatype.
    """
    field = f"inputs[{index}]"
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


def _wanted_outputs(request: InferRequest, signature: Signature) -> list[WantedOutput]:
    names = [output.name for output in signature.outputs]
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
