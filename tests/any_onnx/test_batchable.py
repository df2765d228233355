"""Requests run together only where it was seen that no row depends on another."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from service.graphs.checks.batchable import try_out
from service.graphs.session import open_session
from service.graphs.tensors import TensorModel
from tests.any_onnx.made import graph, identity, keras_lstm, linear, one_node, tensor, torch_lstm

WEIGHTS = np.ones((4, 2), dtype=np.float32)


def gather() -> onnx.ModelProto:
    """Rows of a table by id."""
    node = helper.make_node("Gather", ["table", "x"], ["y"])
    table = np.arange(12, dtype=np.float32).reshape(4, 3)
    ids = tensor("x", ["n", "time"], TensorProto.INT64)
    return graph([node], [ids], [tensor("y", ["n", "time", 3])], table=table)


def two_inputs() -> onnx.ModelProto:
    node = helper.make_node("Add", ["a", "b"], ["y"])
    return graph([node], [tensor("a", ["n", 2]), tensor("b", ["n", 2])], [tensor("y", ["n", 2])])


def flattened_together() -> onnx.ModelProto:
    """A reshape that was traced with a batch of one."""
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    shape = np.array([1, -1], dtype=np.int64)
    return graph([node], [tensor("x", ["n", 4])], [tensor("y", ["m", "k"])], shape=shape)


def fits_only(size: int) -> onnx.ModelProto:
    """A graph whose axis of any size must be of this one."""
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    constant = np.ones((size, 1), dtype=np.float32)
    return graph([node], [tensor("x", ["n", 2, "k"])], [tensor("y", ["n", 2, 1])], w=constant)


def rooted() -> onnx.ModelProto:
    """Roots: NaN for half of all numbers, their own for the others."""
    return one_node("Sqrt", ["n", 4], ["n", 4])


def float_ids() -> onnx.ModelProto:
    """Rows of a table by ids that come as floats; there are few."""
    nodes = [
        helper.make_node("Cast", ["x"], ["ids"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "ids"], ["y"]),
    ]
    table = np.arange(12, dtype=np.float32).reshape(4, 3)
    return graph(nodes, [tensor("x", ["n", 2])], [tensor("y", ["n", 2, 3])], table=table)


def always_nan() -> onnx.ModelProto:
    """The logarithm of what is never above zero, the same for all."""
    nodes = [
        helper.make_node("Abs", ["x"], ["size"]),
        helper.make_node("Neg", ["size"], ["below"]),
        helper.make_node("Sub", ["below", "one"], ["far"]),
        helper.make_node("Log", ["far"], ["y"]),
    ]
    shape = ("n", 4)
    one = np.asarray(1, np.float32)
    return graph(nodes, [tensor("x", shape)], [tensor("y", shape)], one=one)


def always_one_label() -> onnx.ModelProto:
    """Labels that are the same whatever comes."""
    nodes = [
        helper.make_node("Mul", ["x", "none"], ["zero"]),
        helper.make_node("Add", ["zero", "scores"], ["all"]),
        helper.make_node("ArgMax", ["all"], ["y"], axis=-1, keepdims=0),
    ]
    constants = {"none": np.zeros(4, np.float32), "scores": np.arange(4, dtype=np.float32)}
    out = tensor("y", ["n"], TensorProto.INT64)
    return graph(nodes, [tensor("x", ["n", 4])], [out], **constants)


@pytest.mark.parametrize(
    "model",
    [
        linear(WEIGHTS), gather(), two_inputs(), rooted(), float_ids(), fits_only(8), keras_lstm(),
        *map(identity, (TensorProto.STRING, TensorProto.BOOL, TensorProto.UINT8)),
        *map(identity, (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)),
    ],
)  # fmt: skip
def test_rows_that_are_their_own_run_together(model: onnx.ModelProto) -> None:
    assert try_out(TensorModel(open_session(model.SerializeToString()))).obstacle == ""


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (always_nan(), "that y is a row's own was not shown"),
        (always_one_label(), "that y is a row's own was not shown"),
        (one_node("Softmax", ["n", 4], ["n", 4], axis=0), "a row of y depends on the other rows"),
        (one_node("Softmax", ["n"], ["n"], axis=0), "a row of y depends on the other rows"),
        (one_node("ReduceMean", ["n", 4], [1, 4], axes=[0]), "y has not one row for each"),
        (one_node("ReduceMean", ["n", 4], [4], axes=[0], keepdims=0), "y has not one row for each"),
        (one_node("Transpose", ["n", 3], [3, "n"], perm=[1, 0]), "y has not one row for each"),
        (one_node("Relu", [1, 4], [1, 4]), "the first axis of x is always 1"),
        (one_node("Relu", [], []), "x has no axes"),
        (flattened_together(), "y has not one row for each"),
        (fits_only(5), "it could not be tried: "),
        (torch_lstm(), "the first axis of h is always 1"),
    ],
)
def test_what_stands_in_the_way_is_said(model: onnx.ModelProto, reason: str) -> None:
    found = try_out(TensorModel(open_session(model.SerializeToString()))).obstacle
    assert reason in found
