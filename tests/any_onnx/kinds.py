"""The kinds of graphs that a description knows, each with what a client sends and what comes out.

What comes out is what onnxruntime gives to one sequence alone, asked here as the graph wants it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.any_onnx.made import FEATURES, HIDDEN, STATES, graph, keras_lstm, tensor, weights

Arrays = dict[str, NDArray[Any]]
Alone = Callable[[Callable[[Arrays], Arrays], NDArray[Any]], Arrays]
"""Given a run of the graph and one sequence (time, …): its outputs, without the batch."""

node = helper.make_node
WIDTH = 4
TABLE = np.random.default_rng(3).standard_normal((11, WIDTH)).astype(np.float32)
FLOAT, INT32, INT64, BOOL = (
    TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL,
)  # fmt: skip


class Kind(NamedTuple):
    """A graph, its description, and how one sequence alone is run."""

    graph: onnx.ModelProto
    description: dict[str, Any]
    alone: Alone
    lengths: tuple[int, int] = (1, 40)
    ids: bool = False
    step: tuple[int, ...] = (FEATURES,)


def masked_mean(mask_type: int, is_padding: bool = False) -> onnx.ModelProto:
    """The mean of the vectors of real ids, and those vectors; a mask of any type says which."""
    to_float = [node("Cast", ["mask"], ["m"], to=FLOAT)]
    if is_padding:
        to_float = [node("Cast", ["mask"], ["p"], to=FLOAT), node("Sub", ["one", "p"], ["m"])]
    nodes = [
        node("Gather", ["table", "ids"], ["vectors"]),
        *to_float,
        node("Unsqueeze", ["m", "last"], ["m3"]),
        node("Mul", ["vectors", "m3"], ["real"]),
        node("ReduceSum", ["real", "time_axis"], ["sum"], keepdims=0),
        node("ReduceSum", ["m", "time_axis"], ["count"]),
        node("Div", ["sum", "count"], ["mean"]),
    ]
    ids = tensor("ids", ["n", "t"], INT64)
    return graph(
        nodes, [ids, tensor("mask", ["n", "t"], mask_type)],
        [tensor("mean", ["n", WIDTH]), tensor("real", ["n", "t", WIDTH])],
        table=TABLE, last=np.array([2]), time_axis=np.array([1]), one=np.ones(1, np.float32),
    )  # fmt: skip


def of_mask(dtype: type[Any], real: int = 1) -> Alone:
    def alone(run: Callable[[Arrays], Arrays], ids: NDArray[Any]) -> Arrays:
        outputs = run({"ids": ids[None], "mask": np.full((1, len(ids)), real, dtype)})
        return {name: values[0] for name, values in outputs.items()}

    return alone


def lstm_with_lengths() -> onnx.ModelProto:
    """An LSTM layer, time first, that is told the lengths as INT32."""
    nodes = [
        node("LSTM", ["x", "W", "R", "", "lens"], ["all", "h"], hidden_size=HIDDEN),
        node("Squeeze", ["all", "one"], ["y"]),
        node("Squeeze", ["h", "zero"], ["last"]),
    ]
    inputs = [tensor("x", ["t", "n", FEATURES]), tensor("lens", ["n"], INT32)]
    return graph(
        nodes, inputs, [tensor("y", ["t", "n", HIDDEN]), tensor("last", ["n", HIDDEN])],
        zero=np.array([0]), one=np.array([1]), **weights(),
    )  # fmt: skip


def of_lengths(run: Callable[[Arrays], Arrays], steps: NDArray[Any]) -> Arrays:
    outputs = run({"x": steps[:, None], "lens": np.array([len(steps)], np.int32)})
    return {"y": outputs["y"][:, 0], "last": outputs["last"][0]}


def with_constants() -> onnx.ModelProto:
    """Steps times a rate, a vector and what each position is given: all of them always the same."""
    nodes = [
        node("Cast", ["sr"], ["rate"], to=FLOAT),
        node("Mul", ["x", "rate"], ["a"]),
        node("Mul", ["a", "gain"], ["b"]),
        node("Cast", ["types"], ["shift"], to=FLOAT),
        node("Unsqueeze", ["shift", "last"], ["shift3"]),
        node("Add", ["b", "shift3"], ["y"]),
    ]
    inputs = [
        tensor("x", ["n", "t", FEATURES]), tensor("sr", [], INT64), tensor("gain", [FEATURES]),
        tensor("types", ["n", "t"], INT64),
    ]  # fmt: skip
    return graph(nodes, inputs, [tensor("y", ["n", "t", FEATURES])], last=np.array([2]))


def of_constants(run: Callable[[Arrays], Arrays], steps: NDArray[Any]) -> Arrays:
    feed = {
        "x": steps[None], "sr": np.array(16), "gain": np.array([1, 2, 4], np.float32),
        "types": np.full((1, len(steps)), 7),
    }  # fmt: skip
    return {"y": run(feed)["y"][0]}


def convolution(stride: int = 1, padding: int = 0, batch: int | str = "n") -> onnx.ModelProto:
    """Channels before time, as PyTorch's convolutions have it; twice, each of this stride."""
    random = np.random.default_rng(4)
    shapes = {"k1": (WIDTH, FEATURES, 3), "k2": (2, WIDTH, 3)}
    kernels = {
        name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()
    }
    options: dict[str, Any] = {"strides": [stride], "pads": [padding, padding]}
    nodes = [
        node("Conv", ["x", "k1"], ["a"], **options),
        node("Conv", ["a", "k2"], ["y"], **options),
    ]
    inputs = [tensor("x", [batch, FEATURES, "t"])]
    return graph(nodes, inputs, [tensor("y", [batch, 2, "s"])], **kernels)


def of_channels(run: Callable[[Arrays], Arrays], steps: NDArray[Any]) -> Arrays:
    return {"y": run({"x": steps.T[None]})["y"][0].T}


def upsampled() -> onnx.ModelProto:
    """Twice as many steps as the input has."""
    nodes = [node("Concat", ["x", "x"], ["xx"], axis=2), node("Reshape", ["xx", "to"], ["y"])]
    inputs = [tensor("x", ["n", "t", FEATURES])]
    to = np.array([0, -1, FEATURES])
    return graph(nodes, inputs, [tensor("y", ["n", "s", FEATURES])], to=to)


def every_second() -> onnx.ModelProto:
    """The vectors of every second id; an id beyond the table fails the run."""
    nodes = [
        node("Gather", ["table", "ids"], ["vectors"]),
        node("Slice", ["vectors", "start", "stop", "axis", "stride"], ["y"]),
    ]
    places = {"start": 0, "stop": 1 << 40, "axis": 1, "stride": 2}
    constants = {name: np.array([value]) for name, value in places.items()}
    ids, y = tensor("ids", ["n", "t"], INT64), tensor("y", ["n", "s", WIDTH])
    return graph(nodes, [ids], [y], table=TABLE, **constants)


def of_ids(run: Callable[[Arrays], Arrays], ids: NDArray[Any]) -> Arrays:
    return {"y": run({"ids": ids[None]})["y"][0]}


def of_batch(run: Callable[[Arrays], Arrays], steps: NDArray[Any]) -> Arrays:
    return {name: values[0] for name, values in run({"x": steps[None]}).items()}


def without_batch() -> onnx.ModelProto:
    """An LSTM that takes one sequence, (time, features), with state."""
    nodes = [
        node("Unsqueeze", ["x", "one"], ["x3"]),
        node("LSTM", ["x3", "W", "R", "", "", "h", "c"], ["all", "h_out", "c_out"],
             hidden_size=HIDDEN),
        node("Squeeze", ["all", "middle"], ["y"]),
    ]  # fmt: skip
    state = [1, 1, HIDDEN]
    return graph(
        nodes, [tensor("x", ["t", FEATURES]), tensor("h", state), tensor("c", state)],
        [tensor("y", ["t", HIDDEN]), tensor("h_out", state), tensor("c_out", state)],
        one=np.array([1]), middle=np.array([1, 2]), **weights(),
    )  # fmt: skip


def cell(features: int | str = FEATURES) -> onnx.ModelProto:
    """A running sum of squares, a step a run; how often it ran is kept as INT64."""
    nodes = [
        node("Mul", ["x", "x"], ["xx"]),
        node("Mul", ["sum", "decay"], ["old"]),
        node("Add", ["old", "xx"], ["sum_out"]),
        node("ReduceMean", ["sum_out"], ["y"], axes=[1], keepdims=1),
        node("Add", ["count", "one"], ["count_out"]),
        node("Identity", ["count_out"], ["steps"]),
    ]
    inputs = [
        tensor("x", ["n", features]), tensor("sum", ["n", FEATURES]), tensor("count", ["n"], INT64)
    ]  # fmt: skip
    outputs = [
        tensor("y", ["n", 1]), tensor("steps", ["n"], INT64),
        tensor("sum_out", ["n", FEATURES]), tensor("count_out", ["n"], INT64),
    ]  # fmt: skip
    return graph(
        nodes, inputs, outputs,
        decay=np.array([0.9], np.float32), one=np.ones(1, np.int64),
    )  # fmt: skip


def of_cell(run: Callable[[Arrays], Arrays], steps: NDArray[Any]) -> Arrays:
    total, count = np.full((1, FEATURES), 0.5, np.float32), np.zeros(1, np.int64)
    found = []
    for step in steps:
        outputs = run({"x": step[None], "sum": total, "count": count})
        total, count = outputs["sum_out"], outputs["count_out"]
        found.append(outputs)
    return {name: np.concatenate([outputs[name] for outputs in found]) for name in ("y", "steps")}


def of_one(run: Callable[[Arrays], Arrays], steps: NDArray[Any]) -> Arrays:
    state = np.zeros((1, 1, HIDDEN), np.float32)
    return {"y": run({"x": steps, "h": state, "c": state})["y"]}


def of_keras(run: Callable[[Arrays], Arrays], steps: NDArray[Any]) -> Arrays:
    state = np.zeros((1, HIDDEN), np.float32)
    return {"last": run({"x": steps[None], "h": state, "c": state})["last"][0]}


CELL_STATES = [
    {"input": "sum", "output": "sum_out", "initial": 0.5},
    {"input": "count", "output": "count_out"},
]
X: dict[str, Any] = {"name": "x"}
CHANNELS = {"inputs": {"name": "x", "time_axis": 2}}
IDS: dict[str, Any] = {"ids": True, "step": ()}

KINDS = {
    "mask-int64": Kind(
        masked_mean(INT64), {"inputs": {"name": "ids", "mask": "mask"}}, of_mask(np.int64), **IDS
    ),
    "mask-int32": Kind(
        masked_mean(INT32), {"inputs": {"name": "ids", "mask": "mask"}}, of_mask(np.int32), **IDS
    ),
    "mask-float": Kind(
        masked_mean(FLOAT), {"inputs": {"name": "ids", "mask": "mask"}}, of_mask(np.float32), **IDS
    ),
    "mask-bool": Kind(
        masked_mean(BOOL), {"inputs": {"name": "ids", "mask": "mask"}}, of_mask(np.bool_), **IDS
    ),
    "padding-mask": Kind(
        masked_mean(BOOL, is_padding=True), {"inputs": {"name": "ids", "padding_mask": "mask"}},
        of_mask(np.bool_, real=0), **IDS,
    ),
    "lengths-int32": Kind(
        lstm_with_lengths(), {"inputs": {"name": "x", "time_axis": 0, "lengths": "lens"}},
        of_lengths,
    ),
    "constants": Kind(
        with_constants(),
        {"inputs": X, "constants": {"sr": 16, "gain": [1, 2, 4], "types": 7}}, of_constants,
    ),
    "time-last": Kind(convolution(padding=1), CHANNELS, of_channels),
    "shortest": Kind(convolution(), CHANNELS, of_channels, (5, 40)),
    "subsampled": Kind(convolution(stride=2, padding=1), CHANNELS, of_channels),
    "subsampled-unpadded": Kind(convolution(stride=3), CHANNELS, of_channels, (9, 60)),
    "subsampled-one": Kind(convolution(stride=2, padding=1, batch=1), CHANNELS, of_channels),
    "every-second": Kind(every_second(), {"inputs": {"name": "ids"}}, of_ids, **IDS),
    "upsampled": Kind(upsampled(), {"inputs": X}, of_batch),
    "without-batch": Kind(
        without_batch(),
        {"inputs": {"name": "x", "time_axis": 0, "batch_axis": None}, "state": STATES}, of_one,
    ),
    "cell": Kind(
        cell(), {"inputs": {"name": "x", "time_axis": None}, "state": CELL_STATES}, of_cell
    ),
    "cell-open": Kind(
        cell("features"),
        {"inputs": {"name": "x", "time_axis": None, "step_shape": [3]}, "state": CELL_STATES},
        of_cell,
    ),
    "left-out": Kind(
        keras_lstm(), {"inputs": X, "state": STATES, "outputs": ["last"]}, of_keras
    ),
}  # fmt: skip
