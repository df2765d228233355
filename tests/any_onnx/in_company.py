"""Graphs whose answers hang on who is in the same run, or only look as if they did."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper
from onnxruntime.quantization import quantize_dynamic

from tests.any_onnx.made import Shape, graph, tensor

FEATURES, CLASSES = 4, 5
node = helper.make_node


def quantized(rank: int = 2, labels: bool = True) -> onnx.ModelProto:
    """A small network as `quantize_dynamic` makes it: of rows (2), or of each step (3)."""
    random = np.random.default_rng(3)
    first, second = (
        random.standard_normal(shape).astype(np.float32)
        for shape in ((FEATURES, 16), (16, CLASSES))
    )
    nodes = [
        node("MatMul", ["x", "first"], ["hidden"]),
        node("Tanh", ["hidden"], ["active"]),
        node("MatMul", ["active", "second"], ["scores"]),
        node("ArgMax", ["scores"], ["y"], axis=-1, keepdims=0)
        if labels
        else node("Identity", ["scores"], ["y"]),
    ]
    axes: Shape = ("n", "time")[: rank - 1]
    out = tensor("y", axes, TensorProto.INT64) if labels else tensor("y", [*axes, CLASSES])
    model = graph(nodes, [tensor("x", [*axes, FEATURES])], [out], first=first, second=second)
    with tempfile.TemporaryDirectory() as folder:
        fp32, int8 = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, fp32)
        quantize_dynamic(fp32, int8)
        return onnx.load(int8)


def normalised() -> onnx.ModelProto:
    """Each step by the mean and the deviation of all that run."""
    nodes = [
        node("ReduceMean", ["x"], ["mean"], keepdims=0),
        node("Sub", ["x", "mean"], ["centred"]),
        node("Mul", ["centred", "centred"], ["squares"]),
        node("ReduceMean", ["squares"], ["variance"], keepdims=0),
        node("Sqrt", ["variance"], ["deviation"]),
        node("Add", ["deviation", "little"], ["divisor"]),
        node("Div", ["centred", "divisor"], ["y"]),
    ]
    shape: Shape = ["n", "time", FEATURES]
    little = np.float32(1e-3)
    return graph(nodes, [tensor("x", shape)], [tensor("y", shape)], little=np.asarray(little))


def counted_words(by_row: bool = True) -> onnx.ModelProto:
    """How often each word of the vocabulary that was seen occurs: in each row, or in all."""
    axes = np.array([1]) if by_row else np.array([0, 1])
    nodes = [
        node("ReduceMax", ["x"], ["largest"], keepdims=0),
        node("Add", ["largest", "one"], ["words"]),
        node("OneHot", ["x", "words", "values"], ["places"]),
        node("ReduceSum", ["places", "axes"], ["y"], keepdims=0),
    ]
    shape: Shape = ("n", "words") if by_row else ("words",)
    out = tensor("y", shape)
    constants = {"one": np.asarray(1), "values": np.array([0, 1], np.float32), "axes": axes}
    return graph(nodes, [tensor("x", ["n", "time"], TensorProto.INT64)], [out], **constants)


def as_long_as_the_longest() -> onnx.ModelProto:
    """Steps up to the largest length, those past each row's own zero."""
    nodes = [
        node("ReduceMax", ["lengths"], ["longest"], keepdims=1),
        node("Slice", ["x", "zero", "longest", "one"], ["y"]),
    ]
    inputs = [tensor("x", ["n", "time"]), tensor("lengths", ["n"], TensorProto.INT64)]
    constants = {"zero": np.array([0]), "one": np.array([1])}
    return graph(nodes, inputs, [tensor("y", ["n", "longest"])], **constants)


def logarithm() -> onnx.ModelProto:
    """log(x - mean of the batch), the steps added up: NaN unless all lies above the mean."""
    nodes = [
        node("ReduceMean", ["x"], ["mean"], keepdims=0),
        node("Sub", ["x", "mean"], ["centred"]),
        node("Log", ["centred"], ["logs"]),
        node("ReduceSum", ["logs", "axis"], ["y"], keepdims=0),
    ]
    shape: Shape = ["n", "time", FEATURES]
    axis = np.array([1])
    return graph(nodes, [tensor("x", shape)], [tensor("y", ["n", FEATURES])], axis=axis)


def _mask(steps_of: str) -> list[NodeProto]:
    """`mask` (n, time, 1): 1 at a row's own steps."""
    return [
        node("Shape", [steps_of], ["shape"]),
        node("Gather", ["shape", "one"], ["time"]),
        node("Range", ["zero", "time", "one"], ["steps"]),
        node("Unsqueeze", ["lengths", "axis_1"], ["stops"]),
        node("Less", ["steps", "stops"], ["is_real"]),
        node("Unsqueeze", ["is_real", "axis_2"], ["real"]),
        node("Cast", ["real"], ["mask"], to=TensorProto.FLOAT),
    ]


_CONSTANTS: dict[str, Any] = {
    "zero": np.asarray(0), "one": np.asarray(1),
    "axis_1": np.array([1]), "axis_2": np.array([2]),
}  # fmt: skip


def _mean_over(values: str) -> list[NodeProto]:
    """`y`: the mean of a row's own steps, by multiplying the others by 0."""
    return [
        *_mask("x"),
        node("Mul", [values, "mask"], ["kept"]),
        node("ReduceSum", ["kept", "axis_1"], ["total"], keepdims=0),
        node("Cast", ["lengths"], ["counts"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["counts", "axis_1"], ["divisor"]),
        node("Div", ["total", "divisor"], ["y"]),
    ]


def masked_mean() -> onnx.ModelProto:
    """Of each row's own steps: NaN in the padding would come through, zeros don't."""
    inputs = [tensor("x", ["n", "time", FEATURES]), tensor("lengths", ["n"], TensorProto.INT64)]
    return graph(_mean_over("x"), inputs, [tensor("y", ["n", FEATURES])], **_CONSTANTS)


def float_ids() -> onnx.ModelProto:
    """Vectors of ids that come as floats, and the mean of each row's."""
    table = np.random.default_rng(4).standard_normal((6, FEATURES)).astype(np.float32)
    nodes = [
        node("Cast", ["x"], ["ids"], to=TensorProto.INT64),
        node("Gather", ["table", "ids"], ["vectors"]),
        *_mean_over("vectors"),
    ]
    inputs = [tensor("x", ["n", "time"]), tensor("lengths", ["n"], TensorProto.INT64)]
    outputs = [tensor("y", ["n", FEATURES])]
    return graph(nodes, inputs, outputs, table=table, **_CONSTANTS)
