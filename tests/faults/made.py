"""Graphs that answer `y` (n, 1) is `x` + 1, but for some x: those that hang or want all memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper

from tests.any_onnx.made import Shape, graph, tensor, write

POISON = 1e15
"""So many steps, or floats."""


def looping() -> ModelProto:
    """It goes round a loop as many times as its largest x says."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["goes_on"], ["goes_on_out"]),
            helper.make_node("Identity", ["held"], ["held_out"]),
        ],
        "body",
        [
            tensor("turn", [], TensorProto.INT64),
            tensor("goes_on", [], TensorProto.BOOL),
            tensor("held", []),
        ],
        [tensor("goes_on_out", [], TensorProto.BOOL), tensor("held_out", [])],
    )
    return _answering(
        helper.make_node("Loop", ["count", "", "one"], ["done"], body=body),
        one=np.array(1, np.float32),
    )


def deaf() -> ModelProto:
    """One operator takes long, and looks at nothing else: seconds for an x of some thousands."""
    return _answering(
        helper.make_node("Reshape", ["count", "axes"], ["side"]),
        helper.make_node("Concat", ["side", "side"], ["shape"], axis=0),
        helper.make_node("Expand", ["one", "shape"], ["matrix"]),
        helper.make_node("MatMul", ["matrix", "matrix"], ["product"]),
        helper.make_node("ReduceMax", ["product"], ["largest_product"], keepdims=0),
        helper.make_node("Min", ["largest_product", "one"], ["done"]),
        axes=np.array([1]),
        one=np.array(1, np.float32),
    )


def greedy() -> ModelProto:
    """It makes room for as many floats as its largest x says."""
    return _answering(
        helper.make_node("Reshape", ["count", "axes"], ["shape"]),
        helper.make_node("Expand", ["one", "shape"], ["much"]),
        helper.make_node("ReduceMax", ["much"], ["done"], keepdims=0),
        axes=np.array([1]),
        one=np.array(1, np.float32),
    )


def always_looping() -> ModelProto:
    """It hangs whatever x is."""
    model = looping()
    for node in model.graph.node:
        if node.op_type == "Max":
            node.input[1] = "poison"
    model.graph.initializer.append(helper.make_tensor("poison", TensorProto.FLOAT, [], [POISON]))
    return model


def _answering(*nodes: NodeProto, **constants: np.ndarray) -> ModelProto:
    """These nodes make a `done`, which is 1, of a `count`, which is 1 at least."""
    before = [
        helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
        helper.make_node("Max", ["largest", "least"], ["most"]),
        helper.make_node("Cast", ["most"], ["count"], to=TensorProto.INT64),
    ]
    after = helper.make_node("Add", ["x", "done"], ["y"])
    wide: Shape = ["n", 1]
    return graph(
        [*before, *nodes, after],
        [tensor("x", wide)],
        [tensor("y", wide)],
        least=np.array(1, np.float32),
        **constants,
    )


def write_faulty(repository: Path, **models: ModelProto) -> Path:
    """A repository of these, by their names."""
    for name, model in models.items():
        write(repository, name, model)
    return repository
