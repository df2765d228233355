"""What is read of a file without `onnx` is what `onnx` reads of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper

from service.graphs.checks.onnx_file import read_onnx_file
from tests.any_onnx.made import graph, keras_lstm, linear, tensor
from tests.servers import REPOSITORY


def operators_of(nodes: Iterable[NodeProto]) -> set[str]:
    found = set()
    for node in nodes:
        found.add(node.op_type)
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                found |= operators_of(inner.node)
    return found


def wanted(model: onnx.ModelProto) -> tuple[set[str], set[str]]:
    operators = operators_of(model.graph.node)
    for function in model.functions:
        operators |= operators_of(function.node)
    values = [*model.graph.input, *model.graph.output]
    types = {value.name: value.type for value in values}
    return operators, {
        name
        for name, kind in types.items()
        if kind.HasField("tensor_type") and not kind.tensor_type.HasField("shape")
    }


def nested() -> onnx.ModelProto:
    """Operators in a branch of a branch, and in a function of the model's own."""

    def branch(name: str, *nodes: NodeProto) -> onnx.GraphProto:
        return helper.make_graph(nodes, name, [], [tensor(nodes[-1].output[0], ["n"])])

    def choice(out: str, *nodes: NodeProto) -> NodeProto:
        other = helper.make_node("Neg", ["x"], [f"{out}_other"])
        branches = {"then_branch": branch("a", *nodes), "else_branch": branch("b", other)}
        return helper.make_node("If", ["which"], [out], **branches)

    inner = choice("inner", helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
                   helper.make_node("Relu", ["x"], ["then"]))  # fmt: skip
    outer = choice("outer", inner)
    own = helper.make_node("Own", ["outer"], ["y"], domain="own")
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    function = helper.make_function(
        "own", "Own", ["a"], ["b"], [helper.make_node("Softsign", ["a"], ["b"])], opsets
    )
    inputs = [tensor("x", ["n"]), tensor("which", [], TensorProto.BOOL)]
    made = helper.make_graph([outer, own], "nested", inputs, [tensor("y", ["n"])])
    for value in (made.input[0], made.output[0]):
        value.type.tensor_type.ClearField("shape")
    return helper.make_model(made, opset_imports=opsets, functions=[function], ir_version=8)


@pytest.mark.parametrize(
    "model", [nested(), keras_lstm(), linear(np.zeros((300, 300), np.float32))]
)
def test_made_graphs_are_read(model: onnx.ModelProto) -> None:
    found = read_onnx_file(model.SerializeToString())
    assert found is not None
    assert (set(found.operators), set(found.unranked)) == wanted(model)


@pytest.mark.parametrize(
    "path", sorted(REPOSITORY.glob("*/*/*.onnx")), ids=lambda path: path.parts[-3]
)
def test_every_bundled_graph_is_read(path: Path) -> None:
    found = read_onnx_file(path)
    assert found is not None
    assert (set(found.operators), set(found.unranked)) == wanted(onnx.load(path))


def test_weights_beside_the_graph_are_not_touched(tmp_path: Path) -> None:
    onnx.save(
        linear(np.zeros((300, 300), np.float32)),
        tmp_path / "model.onnx",
        save_as_external_data=True,
        size_threshold=0,
        location="weights",
    )
    (tmp_path / "weights").unlink()
    found = read_onnx_file(tmp_path / "model.onnx")
    assert found is not None
    assert found.operators == {"MatMul"}


@pytest.mark.parametrize("content", [b"", b"ORTM", b"\x08", b"\xff" * 30, b"\x00\x00\x00\x00ORTM"])
def test_what_is_no_such_file_says_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "graph").write_bytes(content)
    assert read_onnx_file(content) is None
    assert read_onnx_file(tmp_path / "graph") is None


def test_a_file_that_ends_early_is_not_read_as_if_it_were_whole() -> None:
    content = graph(
        [helper.make_node("Relu", ["x"], ["y"])], [tensor("x", ["n"])], [tensor("y", ["n"])]
    ).SerializeToString()
    assert read_onnx_file(content[: len(content) // 2]) is None
