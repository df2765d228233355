"""What a model's metadata says is so, though its file says otherwise or nothing; and in the log
lie our own lines alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.any_onnx.asking import ask, outputs_of
from tests.any_onnx.made import FEATURES, HIDDEN, graph, linear, one_node, tensor, weights, write
from tests.servers import Server, serving

EXAMPLE = 7  # steps of what a graph was made with
node = helper.make_node


def recurrent(announced: int | str) -> onnx.ModelProto:
    """A layer over any number of steps, announced as so many: as PyTorch's exporter makes it."""
    nodes = [
        node("LSTM", ["x", "W", "R"], ["all"], hidden_size=HIDDEN),
        node("Squeeze", ["all", "axis_1"], ["y_time_first"]),
        node("Transpose", ["y_time_first"], ["y"], perm=[1, 0, 2]),
    ]
    first = node("Transpose", ["rows"], ["x"], perm=[1, 0, 2])
    model = graph(
        [first, *nodes],
        [tensor("rows", ["n", "time", FEATURES])],
        [tensor("y", ["n", "time", HIDDEN])],
        axis_1=np.array([1]), **weights(),
    )  # fmt: skip
    model.graph.output[0].CopyFrom(tensor("y", ["n", announced, HIDDEN]))
    return model


def unrolled() -> onnx.ModelProto:
    """The sum of as many steps as the example had, whatever comes."""
    nodes = [
        node("Slice", ["x", "start", "stop", "axis"], ["heeded"]),
        node("ReduceSum", ["heeded", "axis"], ["y"], keepdims=0),
    ]
    constants = {"start": np.array([0]), "stop": np.array([EXAMPLE]), "axis": np.array([1])}
    return graph(
        nodes,
        [tensor("x", ["n", "time", FEATURES])],
        [tensor("y", ["n", FEATURES])],
        **constants,
    )


def without_ranks(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same, its file saying nothing of its tensors' axes."""
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.ClearField("shape")
    return model


def table() -> onnx.ModelProto:
    """Rows by id; an id beyond the table fails the graph."""
    ids = tensor("x", ["n"], TensorProto.INT64)
    rows = np.arange(8, dtype=np.float32).reshape(4, 2)
    return graph(
        [node("Gather", ["table", "x"], ["y"])], [ids], [tensor("y", ["n", 2])], table=rows
    )


UNROLLED: dict[str, Any] = {"inputs": {"name": "x"}}
LIMITED = UNROLLED | {"limits": {"max_length": EXAMPLE}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    repository = tmp_path_factory.mktemp("signatures")
    write(repository, "fixed-time", recurrent(EXAMPLE))
    write(repository, "any-time", recurrent("time"))
    write(repository, "ranks", without_ranks(linear(np.ones((4, 2), np.float32))))
    write(repository, "scalar", without_ranks(one_node("Neg", [], [])))
    write(repository, "no-axes", one_node("Neg", [], []))
    write(repository, "unrolled", unrolled())
    write(repository, "unrolled-described", unrolled(), UNROLLED)
    write(repository, "unrolled-limited", unrolled(), LIMITED)
    write(repository, "table", table())
    broken = write(repository, "broken", linear(np.ones((4, 2), np.float32)))
    operator = one_node("Neg", ["n"], ["n"])
    operator.graph.node[0].op_type = "Unheard"
    onnx.save(operator, broken / "model.onnx")
    with serving(repository, strict_readiness=False, engine_threads=2) as server:
        yield server


def metadata(server: Server, name: str) -> dict[str, Any]:
    about: dict[str, Any] = server.client.get(f"/v2/models/{name}").json()
    return about


@pytest.mark.parametrize("name", ["fixed-time", "any-time"])
def test_an_axis_that_was_seen_to_change_is_of_any_size(server: Server, name: str) -> None:
    (output,) = metadata(server, name)["outputs"]
    assert output["shape"] == [-1, -1, HIDDEN]
    answer = outputs_of(ask(server, name, rows=np.ones((1, 3, FEATURES), np.float32)))
    assert answer["y"].shape == (1, 3, HIDDEN)


def test_a_graph_that_says_no_ranks_takes_what_it_takes(server: Server) -> None:
    about = metadata(server, "ranks")
    assert about["inputs"][0]["shape"] != []
    assert "how many axes x has" in about["properties"]["batching"]
    for shape in ((1, 4), (3, 4), (2, 3, 4)):
        answer = outputs_of(ask(server, "ranks", x=np.ones(shape, np.float32)))
        assert answer["y"].shape == (*shape[:-1], 2)
        assert (answer["y"] == 4).all()
    refusal = ask(server, "ranks", x=np.ones((1, 3), np.float32))
    assert refusal.status_code == 422


def test_no_axes_and_none_known_are_told_apart(server: Server) -> None:
    assert metadata(server, "no-axes")["outputs"][0]["shape"] == []
    assert ask(server, "no-axes", x=np.ones((2,), np.float32)).status_code == 400
    for value in (np.array(2.0, np.float32), np.ones((2, 2), np.float32)):
        assert (outputs_of(ask(server, "scalar", x=value))["y"] == -value).all()


def test_steps_past_the_examples_that_change_nothing_are_found(server: Server) -> None:
    ignored = metadata(server, "unrolled")["properties"]["ignored"]
    assert "the end of axis 1 of x" in ignored
    assert "ignored" not in metadata(server, "any-time")["properties"]
    entries = {entry["name"]: entry for entry in server.client.post("/v2/repository/index").json()}
    reason = entries["unrolled-described"]["reason"]
    assert "steps change nothing" in reason
    assert "limits.max_length" in reason
    assert entries["unrolled-limited"]["state"] == "READY"


def test_the_log_has_no_lines_but_our_own(server: Server) -> None:
    assert ask(server, "table", x=np.array([99])).status_code == 422
    entries = {entry["name"]: entry for entry in server.client.post("/v2/repository/index").json()}
    assert "Unheard" in entries["broken"]["reason"]
    for line in server.log.splitlines():
        json.loads(line)
