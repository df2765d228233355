"""Every gate closes on the fault it is there for: graphs spoilt after export, or wrong by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser

from tests.training.conftest import Exported
from training.export.graph import SAMPLE_TIME, Signature
from training.export.lint import ExportError, lint
from training.export.verify import (
    Candidate,
    check_chunks,
    check_padding,
    check_parity,
    largest_difference,
)

Export = Callable[[str], Exported]
Spoil = Callable[[onnx.ModelProto], None]


def recurrent(graph: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for node in graph.graph.node if node.op_type in ("RNN", "LSTM", "GRU")]


def freeze_time(graph: onnx.ModelProto) -> None:
    graph.graph.input[0].type.tensor_type.shape.dim[1].dim_value = SAMPLE_TIME


def freeze_batch_of_output(graph: onnx.ModelProto) -> None:
    graph.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 3


def rename_output(graph: onnx.ModelProto) -> None:
    graph.graph.output[1].name = "hidden_final"


def empty_lengths(graph: onnx.ModelProto) -> None:
    recurrent(graph)[1].input[4] = ""


def foreign_lengths(graph: onnx.ModelProto) -> None:
    full = numpy_helper.from_array(np.full(3, SAMPLE_TIME, dtype=np.int32), "full")
    graph.graph.initializer.append(full)
    recurrent(graph)[0].input[4] = "full"


def forget_state(graph: onnx.ModelProto) -> None:
    for node in recurrent(graph):
        node.input[5] = ""


def drop_readers_of_state(graph: onnx.ModelProto) -> None:
    forget_state(graph)
    kept = [node for node in graph.graph.node if "hidden" not in node.input]
    del graph.graph.node[:]
    graph.graph.node.extend(kept)


def unroll_a_layer(graph: onnx.ModelProto) -> None:
    recurrent(graph)[0].op_type = "Tanh"


def add_loop(graph: onnx.ModelProto) -> None:
    graph.graph.node.append(helper.make_node("Loop", ["", ""], ["turned"]))


def other_opset(graph: onnx.ModelProto) -> None:
    graph.opset_import[0].version = 26


def other_operators(graph: onnx.ModelProto) -> None:
    graph.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def newer_format(graph: onnx.ModelProto) -> None:
    graph.ir_version = 14


def weights_elsewhere(graph: onnx.ModelProto) -> None:
    graph.graph.initializer[0].external_data.add(key="location", value="weights.bin")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (freeze_time, "input inputs has axes ['batch', 11, 3], expected ['batch', 'time', 3]"),
        (freeze_batch_of_output, "output logits has axes [3, 4]"),
        (
            rename_output,
            "outputs are ['logits', 'hidden_final'], expected ['logits', 'hidden_out']",
        ),
        (empty_lengths, "takes its lengths from 'nowhere'"),
        (foreign_lengths, "takes its lengths from 'full'"),
        (drop_readers_of_state, "nothing reads input hidden"),
        (unroll_a_layer, "recurrent operators {'GRU': 1}, the model's layers are {'GRU': 2}"),
        (add_loop, "control flow (Loop)"),
        (other_opset, "operator sets {'': 26}"),
        (other_operators, "operator sets {'': 20, 'com.microsoft': 1}"),
        (newer_format, "IR version 14"),
        (weights_elsewhere, "lie outside the file"),
    ],
)
def test_lint_names_what_is_wrong(spoil: Spoil, reason: str, exported: Export) -> None:
    bundle = exported("gru")
    graph = bundle.graph()
    lint(graph, bundle.signature, bundle.model)
    spoil(graph)
    with pytest.raises(ExportError) as caught:
        lint(graph, bundle.signature, bundle.model)
    assert str(caught.value).startswith("lint: ")
    assert reason in str(caught.value)


def candidate(bundle: Exported, graph: onnx.ModelProto) -> Candidate:
    return Candidate(graph.SerializeToString(), bundle.signature, bundle.model, bundle.card)


def scale_largest_weights(graph: onnx.ModelProto) -> None:
    largest = max(graph.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    values = numpy_helper.to_array(largest) * np.float32(1.01)
    largest.CopyFrom(numpy_helper.from_array(values, largest.name))


@pytest.mark.parametrize("spoil", [scale_largest_weights, forget_state, empty_lengths])
def test_parity_fails_where_the_graph_differs_from_torch(spoil: Spoil, exported: Export) -> None:
    bundle = exported("gru")
    graph = bundle.graph()
    check_parity(candidate(bundle, graph), max_length=40)
    spoil(graph)
    with pytest.raises(ExportError, match=r"parity: \w+ differs by .* at batch \d+, time \d+"):
        check_parity(candidate(bundle, graph), max_length=40)


def test_chunks_fail_where_the_state_is_not_carried(exported: Export) -> None:
    bundle = exported("gru")
    graph = bundle.graph()
    check_chunks(candidate(bundle, graph))
    forget_state(graph)
    with pytest.raises(ExportError, match=r"chunks: logits differs by .* at batch 5, time 37"):
        check_chunks(candidate(bundle, graph))


def hand_made(bundle: Exported, body: str) -> Candidate:
    """A graph from its text, with the names that a whole-sequence model's graph has."""
    signature = Signature(
        inputs={"inputs": ["batch", "time", 3], "lengths": ["batch"]},
        outputs={"logits": ["batch", 3]},
        state=[],
        has_weights=False,
    )
    graph = parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 20]> hand_made '
        "(float[batch,time,3] inputs, int64[batch] lengths) => (float[batch,3] logits) "
        f"{{ {body} }}"
    )
    return Candidate(graph.SerializeToString(), signature, bundle.model, bundle.card)


READS_PADDING = """
    axes = Constant <value_ints = [1]> ()
    logits = ReduceMean <keepdims = 0> (inputs, axes)
"""
READS_NEIGHBOURS = """
    time_axis = Constant <value_ints = [1]> ()
    zero = Constant <value_ints = [0]> ()
    one = Constant <value_ints = [1]> ()
    first_step = Slice (inputs, zero, one, time_axis)
    first = Squeeze (first_step, time_axis)
    others = ReduceMean <keepdims = 1> (first, zero)
    logits = Sub (first, others)
"""
READS_ONLY_ITSELF = """
    time_axis = Constant <value_ints = [1]> ()
    zero = Constant <value_ints = [0]> ()
    one = Constant <value_ints = [1]> ()
    first_step = Slice (inputs, zero, one, time_axis)
    logits = Squeeze (first_step, time_axis)
"""
FROZEN_INSIDE = """
    shape = Constant <value_ints = [-1, 33]> ()
    flat = Reshape (inputs, shape)
    axes = Constant <value_ints = [1]> ()
    start = Constant <value_ints = [0]> ()
    end = Constant <value_ints = [3]> ()
    logits = Slice (flat, start, end, axes)
"""


def test_padding_fails_where_a_row_depends_on_its_company(exported: Export) -> None:
    bundle = exported("gru")
    check_padding(hand_made(bundle, READS_ONLY_ITSELF))
    for body in (READS_PADDING, READS_NEIGHBOURS):
        with pytest.raises(
            ExportError, match=r"padding: logits differs by .* row 0 \(length \d+\)"
        ):
            check_padding(hand_made(bundle, body))


def test_a_shape_frozen_inside_the_graph_fails(exported: Export) -> None:
    bundle = exported("gru")
    with pytest.raises(ExportError, match="parity: the graph fails at batch 1, time 1: "):
        check_parity(hand_made(bundle, FROZEN_INSIDE), max_length=40)


def test_a_graph_that_onnxruntime_refuses_is_not_loaded(exported: Export) -> None:
    bundle = exported("gru")
    graph = bundle.graph()
    graph.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(ExportError, match="load: onnxruntime refuses the graph: "):
        candidate(bundle, graph)


def test_shapes_must_be_equal_and_values_finite() -> None:
    row = np.zeros((1, 3), dtype=np.float32)
    same = largest_difference("parity", "here", {"logits": row}, {"logits": row})
    assert same == 0.0
    with pytest.raises(ExportError, match=r"logits has shape \(1, 3\), expected \(2, 3\), at here"):
        largest_difference("parity", "here", {"logits": row}, {"logits": np.repeat(row, 2, axis=0)})
    broken = np.array([[0.0, np.nan, 0.0]], dtype=np.float32)
    with pytest.raises(ExportError, match="parity: logits differs by nan at here"):
        largest_difference("parity", "here", {"logits": broken}, {"logits": row})
