"""A few lines make a graph a sequence model, or say what in them is not so."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from service.description import read_description
from service.errors import BundleError
from service.graphs.company import find_obstacle
from service.graphs.described import describe
from service.graphs.layout import LaidOutModel
from service.graphs.session import open_session
from service.graphs.spec import OutputSpec
from tests.any_onnx.made import (
    FEATURES,
    HIDDEN,
    KERAS,
    STATES,
    TORCH,
    graph,
    keras_lstm,
    lstm_reference,
    tensor,
    torch_lstm,
)


def described(model: onnx.ModelProto, description: Any) -> LaidOutModel:
    return describe(open_session(model.SerializeToString()), read_description(description))


def token_model() -> onnx.ModelProto:
    """A vector for each of the ids, and their number; no state."""
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["vectors"]),
        helper.make_node("Identity", ["lens"], ["count"]),
    ]
    table = np.arange(20, dtype=np.float32).reshape(5, 4)
    ids = tensor("ids", ["n", "time"], TensorProto.INT64)
    lengths = tensor("lens", ["n"], TensorProto.INT64)
    outputs = [tensor("vectors", ["n", "time", 4]), tensor("count", ["n"], TensorProto.INT64)]
    return graph(nodes, [ids, lengths], outputs, table=table)


def test_a_keras_lstm_is_understood() -> None:
    spec = described(keras_lstm(), KERAS).spec
    assert spec.step_shape == (FEATURES,)
    assert not spec.is_ragged
    assert [state.shape for state in spec.state] == [(HIDDEN,), (HIDDEN,)]
    assert spec.outputs == (
        OutputSpec("y", (HIDDEN,), per_step=True),
        OutputSpec("last", (HIDDEN,)),
    )


def test_a_time_first_lstm_is_understood() -> None:
    model = described(torch_lstm(), TORCH)
    assert [state.shape for state in model.spec.state] == [(1, HIDDEN), (1, HIDDEN)]
    assert model.spec.outputs == (OutputSpec("y", (HIDDEN,), per_step=True),)
    steps = np.random.default_rng(0).standard_normal((2, 7, FEATURES)).astype(np.float32)
    state = {name: np.zeros((2, 1, HIDDEN), np.float32) for name in "hc"}
    outputs = model.run(steps, np.array([7, 7]), state)
    for row in range(2):
        np.testing.assert_allclose(outputs["y"][row], lstm_reference(steps[row]), atol=1e-6)


def test_token_ids_and_whole_number_outputs_are_understood() -> None:
    spec = described(token_model(), {"inputs": {"name": "ids", "lengths": "lens"}}).spec
    assert (spec.dtype.name, spec.step_shape, spec.lengths) == ("int64", (), "lens")
    assert spec.outputs == (
        OutputSpec("vectors", (4,), per_step=True),
        OutputSpec("count", (), dtype=np.dtype(np.int64)),
    )


@pytest.mark.parametrize(
    ("model", "description"),
    [
        (keras_lstm(), KERAS),
        (torch_lstm(), TORCH),
        (token_model(), {"inputs": {"name": "ids", "lengths": "lens"}}),
    ],
)
def test_it_passes_the_check_of_every_model(model: onnx.ModelProto, description: Any) -> None:
    made = described(model, description)
    assert find_obstacle(made, 16) == ""


def test_a_state_that_is_not_carried_is_found_at_load() -> None:
    crossed = [{"input": "h", "output": "c_out"}, {"input": "c", "output": "h_out"}]
    model = described(keras_lstm(), KERAS | {"state": crossed})
    with pytest.raises(BundleError, match="in chunks of 16 steps"):
        find_obstacle(model, 16)


def changed(**changes: Any) -> dict[str, Any]:
    return {**KERAS, **changes}


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ({}, "inputs: is missing"),
        (changed(batch=1), "batch: is unknown"),
        (changed(inputs={"name": "frames"}), "inputs.name: the graph has no input 'frames'"),
        (changed(inputs={"name": "x", "time_axis": 2}), "time_axis: axis 2 of x is always 3"),
        (changed(inputs={"name": "x", "lengths": "n"}), "inputs.lengths: the graph has no input"),
        (changed(inputs={"name": "h"}), r"axis 1 of h is always 5 long"),
        (changed(state=[]), "the graph's input h is not described"),
        (changed(state=STATES[:1]), "the graph's input c is not described"),
        (changed(state=[STATES[0] | {"input": "k"}]), "state: the graph has no input 'k'"),
        (changed(state=[STATES[0] | {"output": "k"}, STATES[1]]), "state: the graph has no output"),
        (changed(state=[STATES[0] | {"batch_axis": 5}, STATES[1]]), "h has no axis 5"),
        (changed(state=[STATES[0] | {"batch_axis": 1}, STATES[1]]), "h without the batch is"),
    ],
)  # fmt: skip
def test_what_is_not_so_is_named(description: Any, reason: str) -> None:
    with pytest.raises(BundleError, match=reason):
        described(keras_lstm(), description)


def test_a_fixed_time_axis_is_refused_with_what_to_do() -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    fixed = graph([node], [tensor("x", ["n", 20, 3])], [tensor("y", ["n", 20, 3])])
    with pytest.raises(BundleError, match=r"always 20 long; .* without model.json .* whole"):
        described(fixed, {"inputs": {"name": "x"}})
