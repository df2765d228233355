"""Dependences that only odd neighbours bring out: NaN, ids below zero, long sequences."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from service.graphs.checks.batchable import try_out
from service.graphs.checks.company import find_obstacle
from service.graphs.session import open_session
from service.graphs.tensors import TensorModel
from tests.any_onnx.made import graph, tensor
from tests.any_onnx.test_described import described

ZERO = np.zeros((), np.float32)


def test_nan_of_a_neighbour_is_seen_to_spread() -> None:
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
        helper.make_node("Add", ["x", "nothing"], ["y"]),
    ]
    model = graph(nodes, [tensor("x", ["n", 3])], [tensor("y", ["n", 3])], zero=ZERO)
    assert "where these are NaN" in obstacle_of(model)


def test_an_id_below_zero_is_tried() -> None:
    nodes = [
        helper.make_node("ReduceMin", ["x"], ["least"], keepdims=0),
        helper.make_node("Less", ["least", "zero"], ["is_below"]),
        helper.make_node("Cast", ["is_below"], ["one"], to=TensorProto.INT64),
        helper.make_node("Add", ["x", "one"], ["y"]),
    ]
    ids = [tensor(name, ["n", 3], TensorProto.INT64) for name in "xy"]
    model = graph(nodes, ids[:1], ids[1:], zero=np.zeros((), np.int64))
    assert "depends on the other rows" in obstacle_of(model)


def test_a_dependence_of_long_sequences_alone_is_seen() -> None:
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0]),
        helper.make_node("Shape", ["x"], ["steps"], start=1, end=2),
        helper.make_node("Greater", ["steps", "many"], ["is_long"]),
        helper.make_node("Cast", ["is_long"], ["factor"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["mean", "factor"], ["taken"]),
        helper.make_node("Sub", ["x", "taken"], ["y"]),
    ]
    shape: list[int | str] = ["n", "time", 3]
    many = np.array([100], np.int64)
    model = graph(nodes, [tensor("x", shape)], [tensor("y", shape)], many=many)
    assert find_obstacle(described(model, {"inputs": {"name": "x"}}), 16)


def obstacle_of(model: onnx.ModelProto) -> str:
    return try_out(TensorModel(open_session(model.SerializeToString()))).obstacle
