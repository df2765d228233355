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
from service.codec.parameters import (
    Parameters,
    check_memory,
    check_parameters,
    count_of,
    flag_of,
    timeout_s_of,
)
from service.codec.simd import read_infer
from service.codec.tensors import MAX_SHAPE, WITHOUT_JSON, all_finite, tensor_array
from service.errors import InvalidRequestError
from service.graphs.model import Arrays
from service.graphs.spec import Signature, TensorSpec

UNCLASSIFIED = {"BYTES", "BOOL", "BF16"}
MAX_OUTPUTS = 64
"""Asked of a request, or as many as the model has: each is written anew, whatever it names."""


class Tensor(msgspec.Struct):
    """One input tensor; its `data` is left out, or null, where it is binary."""

    name: str
    shape: list[int]
    datatype: str
    data: Any = None
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
    """One tensor of the answer.

    Args:
        name: Of the output.
        is_binary: Behind the JSON, not in it.
        num_classes: Of each row's values so many, the largest, by name; 0: all values as they are.
    """

    name: str
    is_binary: bool
    num_classes: int = 0


class InferBody(NamedTuple):
    """What a request's body asks."""

    request_id: str | None
    precision: str | None
    priority: int
    wanted_s: float | None
    outputs: list[WantedOutput]
    arrays: Arrays
    """Every input tensor by name, in the request's order; binary ones in the body's own memory."""
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
    blobs = Blobs(body, length)
    arrays = read_tensors(request.inputs, signature, partial(array_of, blobs))
    blobs.check_end()
    return what_is_asked(request, signature, arrays, blobs.places, blobs.num_bytes)


def read_tensors(
    tensors: Sequence[Tensor],
    signature: Signature,
    array_of: Callable[[int, Tensor], NDArray[Any]],
) -> Arrays:
    """A request's input tensors by name, held against what the model takes.

    Args:
        tensors: As the request describes them.
        signature: Of the model.
        array_of: Of a tensor's place among them, and the tensor, its values.

    Raises:
        InvalidRequestError: One is unknown, there twice, of another type, or missing.
    """
    arrays: Arrays = {}
    taken = {spec.name: spec for spec in signature.inputs}
    for index, tensor in enumerate(tensors):
        field = f"inputs[{index}]"
        if tensor.name not in taken or tensor.name in arrays:
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
        if len(tensor.shape) > MAX_SHAPE:
            raise InvalidRequestError(
                f"{field}.shape is too large: {len(tensor.shape)} axes, of {MAX_SHAPE} at most",
                f"{field}.shape",
            )
        arrays[tensor.name] = array_of(index, tensor)
    for spec in signature.inputs:
        if spec.name not in arrays and not spec.is_optional:
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
        UnsupportedError: It asks for what is not here.
    """
    parameters = request.parameters
    check_parameters(parameters)
    precision = parameters.get("precision")
    return InferBody(
        request.id,
        None if precision is None else str(precision),
        priority_of(parameters.get("priority", 0), "parameters.priority"),
        timeout_s_of(parameters),
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


def array_of(blobs: Blobs, index: int, tensor: Tensor) -> NDArray[Any]:
    """A tensor's values, from its `data` (an array already, where it is plain) or the blobs."""
    field = f"inputs[{index}]"
    if isinstance(tensor.data, np.ndarray) and "binary_data_size" not in tensor.parameters:
        return tensor.data
    if any(axis < 0 for axis in tensor.shape):
        raise InvalidRequestError(
            f"{field}.shape {tensor.shape} has a negative axis", f"{field}.shape"
        )
    check_memory(tensor.parameters, f"{field}.parameters")
    size = tensor.parameters.get("binary_data_size")
    if size is None:
        if tensor.data is None:
            raise InvalidRequestError(
                f"{field}.data: Object missing required field `data`", f"{field}.data"
            )
        return tensor_array(tensor.data, tensor.shape, tensor.datatype, field)
    if tensor.data is not None:
        raise InvalidRequestError(
            f"{field} has both data and binary_data_size: give one", f"{field}.data"
        )
    return blobs.take(tensor.name, size, tensor.shape, tensor.datatype, field)


def check_written(read: InferBody) -> None:
    """Refuse numbers that JSON can write and their tensor's type can't hold.

    Raises:
        InvalidRequestError: There is one, which would have become infinite.
    """
    binary = {place.name for place in read.places}
    for index, (name, array) in enumerate(read.arrays.items()):
        if name not in binary and array.dtype.kind == "f" and not all_finite(array):
            field = f"inputs[{index}].data"
            raise InvalidRequestError(f"{field} holds numbers beyond {array.dtype}", field)


def _wanted_outputs(request: InferRequest, signature: Signature) -> list[WantedOutput]:
    specs = {spec.name: spec for spec in signature.outputs}
    all_binary = flag_of(request.parameters, "binary_data_output", False, "parameters")
    if not request.outputs:
        field = "parameters.binary_data_output"
        return [_wanted(spec, all_binary, 0, field) for spec in signature.outputs]
    most = max(MAX_OUTPUTS, len(specs))
    if len(request.outputs) > most:
        raise InvalidRequestError(
            f"outputs has {len(request.outputs)} entries, of {most} at most", "outputs"
        )
    wanted = []
    for index, output in enumerate(request.outputs):
        field = f"outputs[{index}]"
        if output.name not in specs:
            raise InvalidRequestError(
                f"{field}.name {output.name!r} is none of {', '.join(specs)}", f"{field}.name"
            )
        within = f"{field}.parameters"
        check_memory(output.parameters, within)
        is_binary = flag_of(output.parameters, "binary_data", all_binary, within)
        num_classes = count_of(output.parameters, "classification", within)
        wanted.append(_wanted(specs[output.name], is_binary, num_classes, within))
    return wanted


def _wanted(spec: TensorSpec, is_binary: bool, num_classes: int, field: str) -> WantedOutput:
    if num_classes and spec.datatype in UNCLASSIFIED:
        raise InvalidRequestError(
            f"{field}.classification: {spec.name} is {spec.datatype}, whose values have no order",
            f"{field}.classification",
        )
    if spec.datatype in WITHOUT_JSON and not is_binary:
        raise InvalidRequestError(
            f"{spec.name} is {spec.datatype}, which JSON has no form for: ask for binary data",
            field,
        )
    return WantedOutput(spec.name, is_binary, num_classes)


DECODER = msgspec.json.Decoder(InferRequest)
