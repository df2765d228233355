"""Messages that are mostly right."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from tritonclient.grpc.service_pb2 import ModelInferRequest

from service.datatypes import DATATYPES
from tests.grpc.asking import message, padded
from tests.http.payloads import frames

CONTENTS: dict[str, st.SearchStrategy[Any]] = {
    "bool_contents": st.booleans(),
    "int_contents": st.integers(-(2**31), 2**31 - 1),
    "int64_contents": st.integers(-(2**63), 2**63 - 1),
    "uint_contents": st.integers(0, 2**32 - 1),
    "uint64_contents": st.integers(0, 2**64 - 1),
    "fp32_contents": st.floats(width=32),
    "fp64_contents": st.floats(),
    "bytes_contents": st.binary(max_size=4),
}
AXES = [0, 1, 2, 3, 39, 40, 41, 240, -1, 2**31, 2**62, -(2**63)]
PARAMETERS: dict[str, st.SearchStrategy[Any]] = {
    "bool_param": st.booleans(),
    "int64_param": st.sampled_from([-1, 0, 1, 2**62]),
    "string_param": st.sampled_from(["", "int8", "fp32", "x"]),
    "double_param": st.floats(),
    "uint64_param": st.sampled_from([0, 2, 2**64 - 1]),
}
NAMES = ["precision", "priority", "timeout", "binary_data_output", "binary_data", "sequence_id"]
MODELS = ["digits-lstm", "digits-attention", "digits-birnn", "nosuch", ""]


@st.composite
def requests(draw: st.DrawFn) -> ModelInferRequest:
    """One to a bundled model, with a fault or two."""
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    request = message(draw(st.sampled_from(MODELS)), padded(*map(frames, lengths)))
    if draw(st.booleans()):
        _use_contents(request)
    for spoil in draw(st.lists(st.sampled_from(FAULTS), min_size=1, max_size=2)):
        spoil(draw, request)
    return request


def _use_contents(request: ModelInferRequest) -> None:
    for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
        values = np.frombuffer(raw, DATATYPES[tensor.datatype]).tolist()
        is_float = tensor.datatype == "FP32"
        contents = tensor.contents
        (contents.fp32_contents if is_float else contents.int64_contents).extend(values)
    del request.raw_input_contents[:]


def _other_shape(draw: st.DrawFn, request: ModelInferRequest) -> None:
    tensor = draw(st.sampled_from(list(request.inputs)))
    kind = draw(st.sampled_from(["long", "axis", "other"]))
    if kind == "long":
        tensor.shape.extend([1] * 80)
    elif tensor.shape and kind == "axis":
        tensor.shape[draw(st.integers(0, len(tensor.shape) - 1))] = draw(st.sampled_from(AXES))
    else:
        tensor.shape[:] = draw(st.lists(st.sampled_from(AXES), max_size=5))


def _other_type(draw: st.DrawFn, request: ModelInferRequest) -> None:
    tensor = draw(st.sampled_from(list(request.inputs)))
    tensor.datatype = draw(st.sampled_from([*DATATYPES, "", "fp32", "ü"]))


def _other_name(draw: st.DrawFn, request: ModelInferRequest) -> None:
    tensor = draw(st.sampled_from(list(request.inputs)))
    tensor.name = draw(st.sampled_from(["inputs", "lengths", "", "\0", "held"]))


def _other_contents(draw: st.DrawFn, request: ModelInferRequest) -> None:
    tensor = draw(st.sampled_from(list(request.inputs)))
    name, values = draw(st.sampled_from(list(CONTENTS.items())))
    getattr(tensor.contents, name).extend(draw(st.lists(values, max_size=4)))


def _other_bytes(draw: st.DrawFn, request: ModelInferRequest) -> None:
    kind = draw(st.sampled_from(["more", "less", "short"]))
    if kind == "more" or not request.raw_input_contents:
        request.raw_input_contents.append(draw(st.binary(max_size=9)))
    elif kind == "less":
        request.raw_input_contents.pop()
    else:
        index = draw(st.integers(0, len(request.raw_input_contents) - 1))
        raw = request.raw_input_contents[index]
        request.raw_input_contents[index] = raw[: draw(st.integers(0, len(raw)))]


def _parameter(draw: st.DrawFn, request: ModelInferRequest) -> None:
    request.outputs.add(name="logits")
    holders = [request, request.inputs[0], request.outputs[0]]
    holder = draw(st.sampled_from(range(3)))
    kind, values = draw(st.sampled_from(list(PARAMETERS.items())))
    setattr(holders[holder].parameters[draw(st.sampled_from(NAMES))], kind, draw(values))


def _output(draw: st.DrawFn, request: ModelInferRequest) -> None:
    for name in draw(st.lists(st.sampled_from(["logits", "weights", "", "x"]), max_size=3)):
        request.outputs.add(name=name)


FAULTS = [
    _other_shape,
    _other_type,
    _other_name,
    _other_contents,
    _other_bytes,
    _parameter,
    _output,
]
