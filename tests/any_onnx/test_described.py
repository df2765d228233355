"""A few lines make a graph a sequence model, or say what in them is not so."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from pydantic import BaseModel

from service.description import (
    DescribedInputs,
    DescribedLimits,
    DescribedState,
    DescribedTask,
    Description,
    read_description,
)
from service.errors import BundleError
from service.graphs.checks.company import find_obstacle
from service.graphs.described.describe import describe
from service.graphs.described.layout import LaidOutModel
from service.graphs.session import open_session
from service.graphs.spec import OutputSpec
from tests.any_onnx.kinds import KINDS
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
from tests.servers import CHECKOUT


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


def of(name: str, **changes: Any) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """One of the kinds, and its description with some parts of its inputs, or others, changed."""
    kind = KINDS[name]
    inputs = kind.description["inputs"] | changes.pop("inputs", {})
    return kind.graph, {**kind.description, "inputs": inputs, **changes}


@pytest.mark.parametrize(
    ("model", "description", "reason"),
    [
        (*of("cell-open", inputs={"step_shape": None}), "inputs.step_shape: a step of x is .-1."),
        (*of("cell-open", inputs={"step_shape": [3, 3]}), "inputs.step_shape: .* not .3, 3."),
        (*of("cell", state=[]), "the graph's input sum is not described"),
        (*of("cell", inputs={"mask": "sum"}), "mask: a graph that takes a single step has none"),
        (*of("without-batch", inputs={"batch_axis": 0}), "time_axis and batch_axis are one axis"),
        (*of("without-batch", inputs={"batch_axis": 2}), "batch_axis: x .* no axis 2; write"),
        (*of("time-last", inputs={"time_axis": 3}), "inputs.time_axis: x .* no axis 3; write"),
        (*of("time-last", inputs={"batch_axis": 1}), "batch_axis: x .* batches of 3 alone; write"),
        (*of("constants", constants={"sr": 16, "gain": 1}), "input types is not described"),
        (*of("constants", constants={"rate": 16}), "constants: the graph has no input 'rate'"),
        (*of("constants", constants={"sr": 0.5}), "constants.sr: 0.5 is no INT64"),
        (*of("constants", constants={"sr": "x"}), "constants.sr: x is no INT64"),
        (*of("constants", constants={"gain": [1, [2]]}), r"constants.gain: .1, .2.. is no FP32"),
        (*of("constants", constants={"gain": [1, 2]}), "gain: it is .3. in the graph, .*2"),
        (*of("constants", constants={"x": 0}), "input x is described twice"),
        (*of("mask-int64", inputs={"mask": "m"}), "inputs.mask: the graph has no input 'm'"),
        (*of("mask-int64", inputs={"mask": None, "lengths": "mask"}), "lengths: mask is INT64"),
        (*of("lengths-int32", inputs={"lengths": None, "mask": "lens"}), "mask: lens is .*not"),
        (*of("subsampled", limits={"min_length": 9, "max_length": 4}), "min_length is over max"),
        (*of("subsampled", limits={"max_length": 1}), "limits: .* sequences of 1 steps"),
        (*of("shortest", limits={"max_length": 4}), "does not run on 1 sequences of 3 steps"),
        (*of("left-out", outputs=["none"]), "outputs: the graph has no output 'none', but y, last"),
        (*of("left-out", outputs=[]), "outputs: must have at least 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_of_each_kind_is_named_with_what_to_write(
    model: onnx.ModelProto, description: Any, reason: str
) -> None:
    with pytest.raises(BundleError, match=reason):
        described(model, description)


def test_an_output_that_follows_nothing_is_refused_until_left_out() -> None:
    nodes = [
        helper.make_node("Identity", ["x"], ["y"]),
        helper.make_node("Shape", ["x"], ["size"]),
    ]
    outputs = [tensor("y", ["n", "t", 4]), tensor("size", [3], TensorProto.INT64)]
    model = graph(nodes, [tensor("x", ["n", "t", 4])], outputs)
    about: dict[str, Any] = {"inputs": {"name": "x"}}
    with pytest.raises(BundleError, match=r"output size .INT64 .3.. is neither .* `outputs`"):
        described(model, about)
    spec = described(model, about | {"outputs": ["y"]}).spec
    assert spec.outputs == (OutputSpec("y", (4,), per_step=True),)


@given(st.integers(1, 4), st.integers(0, 3), st.integers(3, 5))
@settings(max_examples=15, deadline=None)
def test_the_rule_of_any_convolution_is_found(stride: int, padding: int, kernel: int) -> None:
    weights = np.ones((1, FEATURES, kernel), np.float32)
    node = helper.make_node("Conv", ["x", "k"], ["y"], strides=[stride], pads=[padding, padding])
    model = graph(
        [node], [tensor("x", ["n", FEATURES, "t"])], [tensor("y", ["n", 1, "s"])], k=weights
    )
    spec = described(model, {"inputs": {"name": "x", "time_axis": 2}}).spec
    assert spec.min_length == max(1, kernel - 2 * padding)
    for length in range(spec.min_length, 50):
        wanted = (length + 2 * padding - kernel) // stride + 1
        assert spec.outputs[0].rule.num_steps(length) == wanted


def test_a_fixed_time_axis_is_refused_with_what_to_do() -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    fixed = graph([node], [tensor("x", ["n", 20, 3])], [tensor("y", ["n", 20, 3])])
    with pytest.raises(BundleError, match=r"always 20 long.* export .*ithout model.json"):
        described(fixed, {"inputs": {"name": "x"}})


def test_the_page_says_what_every_field_means() -> None:
    page = (CHECKOUT / "docs" / "any-onnx.md").read_text()
    parts: dict[str, type[BaseModel]] = {
        "inputs": DescribedInputs,
        "limits": DescribedLimits,
        "task": DescribedTask,
    }
    for name in Description.model_fields.keys() - parts.keys():
        assert f"\n| `{name}` |" in page
    for name, part in parts.items():
        for field in part.model_fields:
            assert f"\n| `{name}.{field}` |" in page
    for field in DescribedState.model_fields:
        assert f"`{field}`" in page
