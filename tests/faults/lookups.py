"""Graphs that look ids up in a table of 500 vectors, and fail on others up to 1,000."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper

from tests.any_onnx.made import Shape, graph, tensor

IDS, WIDTH, HIDDEN = 500, 4, 6

CELLS: dict[str, Any] = {
    "inputs": {"name": "ids", "lengths": "lens"},
    "state": [{"input": "h", "output": "h_out"}],
}
WHOLE: dict[str, Any] = {"inputs": {"name": "ids", "lengths": "lens"}}


def table() -> np.ndarray:
    """(ids, width)."""
    return np.random.default_rng(3).standard_normal((IDS, WIDTH)).astype(np.float32)


def _looked_up() -> tuple[list[NodeProto], dict[str, np.ndarray]]:
    """`vectors` (n, time, width) of `ids`, whole numbers or such floats; what is beyond 1,000, or
    no number, as in the padding that a model is tried with, is read as 0.
    """
    nodes = [
        helper.make_node("Cast", ["ids"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Abs", ["floats"], ["sizes"]),
        helper.make_node("LessOrEqual", ["sizes", "largest"], ["are_ids"]),
        helper.make_node("Where", ["are_ids", "floats", "zero"], ["kept"]),
        helper.make_node("Cast", ["kept"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "whole"], ["vectors"]),
    ]
    floats = {"largest": np.array(1e3, np.float32), "zero": np.array(0, np.float32)}
    return nodes, {"table": table(), **floats}


def gru(kind: int = TensorProto.INT64, state: bool = True) -> ModelProto:
    """`y` (n, hidden), the last state of a GRU over the vectors; its state in and out, or not."""
    nodes, constants = _looked_up()
    random = np.random.default_rng(4)
    constants |= {
        "W": random.standard_normal((1, 3 * HIDDEN, WIDTH)).astype(np.float32),
        "R": random.standard_normal((1, 3 * HIDDEN, HIDDEN)).astype(np.float32),
        "axis_0": np.array([0]),
    }
    nodes += [
        helper.make_node("Transpose", ["vectors"], ["time_first"], perm=[1, 0, 2]),
        helper.make_node("Cast", ["lens"], ["lens_32"], to=TensorProto.INT32),
        helper.make_node(
            "GRU", ["time_first", "W", "R", "", "lens_32", "h" if state else ""], ["", "h_out"],
            hidden_size=HIDDEN, linear_before_reset=1,
        ),
        helper.make_node("Squeeze", ["h_out", "axis_0"], ["y"]),
    ]  # fmt: skip
    held: Shape = [1, "n", HIDDEN]
    inputs = [tensor("ids", ["n", "time"], kind), tensor("lens", ["n"], TensorProto.INT64)]
    outputs = [tensor("y", ["n", HIDDEN])]
    if state:
        inputs.append(tensor("h", held))
        outputs.append(tensor("h_out", held))
    return graph(nodes, inputs, outputs, **constants)


def embedding(kind: int = TensorProto.INT64) -> ModelProto:
    """`vectors` alone, and nothing of lengths."""
    nodes, constants = _looked_up()
    inputs, outputs = (
        [tensor("ids", ["n", "time"], kind)],
        [tensor("vectors", ["n", "time", WIDTH])],
    )
    return graph(nodes, inputs, outputs, **constants)
