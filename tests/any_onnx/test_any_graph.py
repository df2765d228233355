"""Random graphs of rows: with a dependence planted they run alone, without they run together."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper

from service.graphs.checks.batchable import try_out
from service.graphs.session import open_session
from service.graphs.tensors import TensorModel
from tests.any_onnx.made import Shape, graph, tensor

WIDTH = 6
CONSTANTS: dict[str, NDArray[Any]] = {
    "first": np.array([0]),
    "all": np.array([0, 1]),
    "little": np.array(1e-3, np.float32),
    "levels": np.array(127, np.float32),
}
Made = list[tuple[str, list[str], dict[str, Any]]]
"""Operators, each on what the one before gave (`*`); with its other inputs and its attributes."""

OF_ROWS: dict[str, Made] = {
    "linear": [("MatMul", ["*", "w"], {})],
    "tanh": [("Tanh", ["*"], {})],
    "leaky": [("LeakyRelu", ["*"], {})],
    "softmax": [("Softmax", ["*"], {"axis": -1})],
    "normed": [("LayerNormalization", ["*", "ones"], {"axis": -1})],
    "running": [("CumSum", ["*", "last"], {})],
}
OF_ALL: dict[str, Made] = {
    "mean": [("ReduceMean", ["*"], {"axes": [0]}), ("Sub", ["before", "*"], {})],
    "running": [("CumSum", ["*", "zero"], {})],
    "softmax": [("Softmax", ["*"], {"axis": 0})],
    "scale": [
        ("Abs", ["*"], {}), ("ReduceMax", ["*"], {}), ("Add", ["*", "little"], {}),
        ("Div", ["before", "*"], {}),
    ],
    "rounded": [
        ("Abs", ["*"], {}), ("ReduceMax", ["*"], {}), ("Add", ["*", "little"], {}),
        ("Div", ["before", "*"], {}), ("Mul", ["*", "levels"], {}), ("Round", ["*"], {}),
    ],
}  # fmt: skip


def chained(made: list[Made], has_labels: bool, seed: int) -> onnx.ModelProto:
    random = np.random.default_rng(seed)
    constants = {
        **CONSTANTS,
        "w": random.standard_normal((WIDTH, WIDTH)).astype(np.float32),
        "ones": np.ones(WIDTH, np.float32),
        "zero": np.asarray(0),
        "last": np.asarray(1),
    }
    nodes: list[NodeProto] = []
    here = "x"
    for part in made:
        before = here
        for kind, names, attributes in part:
            given_ = [{"*": here, "before": before}.get(name, name) for name in names]
            here = f"v{len(nodes)}"
            nodes.append(helper.make_node(kind, given_, [here], **attributes))
    shape: Shape = ["n", WIDTH]
    out = tensor("y", shape)
    last = helper.make_node("Identity", [here], ["y"])
    if has_labels:
        last = helper.make_node("ArgMax", [here], ["y"], axis=-1, keepdims=0)
        out = tensor("y", ["n"], TensorProto.INT64)
    return graph([*nodes, last], [tensor("x", shape)], [out], **constants)


HIDING_NOTHING = ["leaky", "linear", "tanh"]  # others undo a shift or a scale, planted or not
rows = st.lists(st.sampled_from(sorted(OF_ROWS)), max_size=4)
plain_rows = st.lists(st.sampled_from(HIDING_NOTHING), max_size=3)


def obstacle_of(model: onnx.ModelProto) -> str:
    return try_out(TensorModel(open_session(model.SerializeToString()))).obstacle


@settings(max_examples=60, deadline=None)
@given(rows, st.integers(0, 99))
def test_rows_of_their_own_run_together(parts: list[str], seed: int) -> None:
    assert obstacle_of(chained([OF_ROWS[part] for part in parts], False, seed)) == ""


@settings(max_examples=30, deadline=None)
@given(plain_rows, st.integers(0, 99))
def test_labels_of_rows_of_their_own_run_together(parts: list[str], seed: int) -> None:
    assert obstacle_of(chained([OF_ROWS[part] for part in parts], True, seed)) == ""


@settings(max_examples=120, deadline=None)
@given(plain_rows, st.sampled_from(sorted(OF_ALL)), plain_rows, st.integers(0, 99))
def test_a_planted_dependence_is_found(
    before: list[str], planted: str, after: list[str], seed: int
) -> None:
    parts = [*(OF_ROWS[part] for part in before), OF_ALL[planted]]
    parts += [OF_ROWS[part] for part in after]
    assert obstacle_of(chained(parts, False, seed)) != ""


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["mean", "running", "softmax", "rounded"]), st.integers(0, 99))
def test_a_planted_dependence_is_found_behind_labels(planted: str, seed: int) -> None:
    parts = [OF_ROWS["linear"], OF_ALL[planted], OF_ROWS["linear"]]
    assert obstacle_of(chained(parts, True, seed)) != ""
