"""An Open Inference request's message: its tensors as arrays; and arrays as its answer."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

from service.codec.binary import check_blob
from service.codec.infer import (
    InferBody,
    InferRequest,
    Parameters,
    RequestedOutput,
    Tensor,
    read_tensors,
    what_is_asked,
)
from service.codec.tensors import fitted
from service.errors import InvalidRequestError
from service.graphs.model import Arrays
from service.graphs.spec import Signature
from service.repository.served import Served

CONTENTS: dict[str, tuple[str, Any]] = {
    "BOOL": ("bool_contents", np.bool_),
    "INT8": ("int_contents", np.int32),
    "INT16": ("int_contents", np.int32),
    "INT32": ("int_contents", np.int32),
    "INT64": ("int64_contents", np.int64),
    "UINT8": ("uint_contents", np.uint32),
    "UINT16": ("uint_contents", np.uint32),
    "UINT32": ("uint_contents", np.uint32),
    "UINT64": ("uint64_contents", np.uint64),
    "FP32": ("fp32_contents", np.float32),
    "FP64": ("fp64_contents", np.float64),
    "BYTES": ("bytes_contents", np.object_),
}
"""Where a tensor's values are that is not raw, by datatype, and what they are there."""

SHARED_MEMORY = "shared_memory_region"


def read_message(message: Any, signature: Signature) -> InferBody:
    """What a request asks, and its input tensors.

    Args:
        message: A ModelInferRequest.
        signature: Of the model that it is for.

    Raises:
        InvalidRequestError: Something is not as the protocol and the model say; its field named.
    """
    raw = list(message.raw_input_contents)  # each is copied out of the message here, once
    if raw and len(raw) != len(message.inputs):
        raise InvalidRequestError(
            f"raw_input_contents has {len(raw)} tensors, inputs {len(message.inputs)}: "
            "either all are raw or none",
            "raw_input_contents",
        )
    request = InferRequest(
        inputs=[
            Tensor(it.name, list(it.shape), it.datatype, parameters=_parameters(it.parameters))
            for it in message.inputs
        ],
        id=message.id or None,
        outputs=[RequestedOutput(it.name, _parameters(it.parameters)) for it in message.outputs],
        parameters=_parameters(message.parameters),
    )
    _refuse_shared_memory(request)
    arrays = read_tensors(request.inputs, signature, partial(_array_of, message, raw))
    return what_is_asked(request, signature, arrays)


def fill_answer(response: Any, served: Served, read: InferBody, results: Arrays) -> None:
    """Make a message the answer to a request.

    Args:
        response: An empty ModelInferResponse.
        served: The model.
        read: What was asked.
        results: What the model answered.
    """
    response.model_name, response.model_version = served.name, served.version
    response.id = read.request_id or ""
    datatypes = {spec.name: spec.datatype for spec in served.signature.outputs}
    for name, _ in read.outputs:
        array, datatype = results[name], datatypes[name]
        response.outputs.add(name=name, datatype=datatype, shape=array.shape)
        response.raw_output_contents.append(_raw_bytes(array, datatype))


def _raw_bytes(array: NDArray[Any], datatype: str) -> bytes:
    if datatype != "BYTES":
        return array.tobytes()
    # one object that holds all
    raw: bytes = serialize_byte_tensor(array).item() if array.size else b""
    return raw


def _parameters(fields: Mapping[str, Any]) -> Parameters:
    chosen = {name: value.WhichOneof("parameter_choice") for name, value in fields.items()}
    return {name: getattr(fields[name], choice) for name, choice in chosen.items() if choice}


def _refuse_shared_memory(request: InferRequest) -> None:
    named: tuple[tuple[str, Iterable[Tensor | RequestedOutput]], ...] = (
        ("inputs", request.inputs),
        ("outputs", request.outputs or ()),
    )
    for within, tensors in named:
        for index, tensor in enumerate(tensors):
            if SHARED_MEMORY in tensor.parameters:
                field = f"{within}[{index}].parameters.{SHARED_MEMORY}"
                raise InvalidRequestError(
                    f"{field}: memory is not shared with clients, tensors travel in messages", field
                )


def _array_of(message: Any, raw: list[bytes], index: int, tensor: Tensor) -> NDArray[Any]:
    """A tensor's values; of one that is raw, in the memory of its bytes."""
    field = f"inputs[{index}]"
    contents = message.inputs[index].contents
    given = {descriptor.name for descriptor, _ in contents.ListFields()}
    if raw:
        if given:
            raise InvalidRequestError(
                f"{field} has both contents and raw_input_contents: give one", f"{field}.contents"
            )
        return _raw_array(raw[index], tensor, field, f"raw_input_contents[{index}]")
    if tensor.datatype not in CONTENTS:
        raise InvalidRequestError(
            f"{field}.datatype {tensor.datatype} has no contents: send it in raw_input_contents",
            f"{field}.datatype",
        )
    name, dtype = CONTENTS[tensor.datatype]
    if given - {name}:
        raise InvalidRequestError(
            f"{field}.contents has {', '.join(sorted(given))}, {tensor.datatype} is in {name}",
            f"{field}.contents",
        )
    name, values = f"contents.{name}", getattr(contents, name)
    array = _text(values, f"{field}.{name}") if dtype is np.object_ else np.asarray(values, dtype)
    return fitted(array, tensor.shape, tensor.datatype, field, name)


def _raw_array(raw: bytes, tensor: Tensor, field: str, where: str) -> NDArray[Any]:
    if tensor.datatype != "BYTES":
        dtype = check_blob(len(raw), tensor.shape, tensor.datatype, field, where)
        return np.ndarray(tensor.shape, dtype, raw)
    try:
        values = deserialize_bytes_tensor(raw)
    except struct.error as error:
        raise InvalidRequestError(f"{where} is no tensor of BYTES: {error}", where) from None
    return fitted(_text(values, where), tensor.shape, tensor.datatype, field, where)


def _text(values: Iterable[bytes], where: str) -> NDArray[Any]:
    """Strings (n,), as onnxruntime takes them."""
    try:
        return np.array([value.decode() for value in values], np.object_)
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{where} is not UTF-8: {error}", where) from None
