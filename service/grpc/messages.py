"""An Open Inference request's message: its tensors as arrays; and arrays as its answer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.api.answers import blob_of, wanted_values
from service.codec.binary import check_blob, numbers_in
from service.codec.infer import (
    InferBody,
    InferRequest,
    RequestedOutput,
    Tensor,
    read_tensors,
    what_is_asked,
)
from service.codec.parameters import Parameters, check_memory
from service.codec.strings import decode_strings
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

FINAL_RESPONSE = "triton_enable_empty_final_response"


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
            Tensor(it.name, list(it.shape), it.datatype, parameters=parameters_of(it.parameters))
            for it in message.inputs
        ],
        id=message.id or None,
        outputs=[RequestedOutput(it.name, _of_output(it.parameters)) for it in message.outputs],
        parameters=_of_request(message.parameters),
    )
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
    for wanted in read.outputs:
        datatype, values = wanted_values(served, wanted, results[wanted.name])
        response.outputs.add(name=wanted.name, datatype=datatype, shape=values.shape)
        response.raw_output_contents.append(blob_of(datatype, values))


def parameters_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A message's parameters, each by its one value."""
    chosen = {name: value.WhichOneof("parameter_choice") for name, value in fields.items()}
    return {name: getattr(fields[name], choice) for name, choice in chosen.items() if choice}


def _of_request(fields: Mapping[str, Any]) -> Parameters:
    """A request's parameters, but what Triton's client asks of a stream: here it is so anyway."""
    given = parameters_of(fields)
    given.pop(FINAL_RESPONSE, None)
    return given | {"binary_data_output": True}


def _of_output(fields: Mapping[str, Any]) -> Parameters:
    """An output's parameters; all are sent in binary, whatever they say."""
    return {name: value for name, value in parameters_of(fields).items() if name != "binary_data"}


def _array_of(message: Any, raw: list[bytes], index: int, tensor: Tensor) -> NDArray[Any]:
    """A tensor's values; of one that is raw, in the memory of its bytes."""
    field = f"inputs[{index}]"
    check_memory(tensor.parameters, f"{field}.parameters")
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
    count = math.prod(tensor.shape)
    if tensor.datatype == "BYTES":
        flat = decode_strings(memoryview(raw), [count], count, where)
        return fitted(flat, tensor.shape, tensor.datatype, field, where)
    check_blob(len(raw), tensor.shape, tensor.datatype, field, where)
    return numbers_in(raw, tensor.datatype, count, 0, where).reshape(tensor.shape)


def _text(values: Iterable[bytes], where: str) -> NDArray[Any]:
    """Strings (n,), as onnxruntime takes them."""
    try:
        return np.array([value.decode() for value in values], np.object_)
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{where} is not UTF-8: {error}", where) from None
