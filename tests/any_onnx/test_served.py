"""Graphs of any tool through a real server: each answered as onnxruntime answers it alone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from tests.any_onnx.asking import ask, outputs_of
from tests.any_onnx.made import (
    FEATURES,
    HIDDEN,
    KERAS,
    TORCH,
    graph,
    keras_lstm,
    linear,
    lstm_reference,
    one_node,
    tensor,
    torch_lstm,
    write,
)
from tests.servers import Server, serving

WEIGHTS = np.random.default_rng(5).standard_normal((4, 2)).astype(np.float32)


def table() -> Any:
    """Rows by id; an id beyond the table fails the graph."""
    node = helper.make_node("Gather", ["table", "x"], ["y"])
    rows = np.arange(8, dtype=np.float32).reshape(4, 2)
    ids = tensor("x", ["n"], TensorProto.INT64)
    return graph([node], [ids], [tensor("y", ["n", 2])], table=rows)


def scaled() -> Any:
    """An input with a default, which a request may leave out."""
    node = helper.make_node("Mul", ["x", "scale"], ["y"])
    inputs = [tensor("x", ["n", 2]), tensor("scale", [1])]
    return graph([node], inputs, [tensor("y", ["n", 2])], scale=np.full(1, 2.0, np.float32))


def classifier() -> Any:
    """As scikit-learn's converter makes it: labels as strings, probabilities as maps."""
    points = np.array([[0.0, 0.0], [0.0, 1.0], [5.0, 5.0], [5.0, 6.0]], dtype=np.float32)
    fitted = LogisticRegression().fit(points, ["low", "low", "high", "high"])
    return to_onnx(fitted, points[:1], target_opset=17)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("any")
    write(folder, "linear", linear(WEIGHTS))
    write(folder, "normed", one_node("Softmax", ["n", 4], ["n", 4], axis=0))
    write(folder, "scalar", one_node("Neg", [], []))
    write(folder, "fixed", one_node("Neg", [2, 3], [2, 3]))
    write(folder, "table", table())
    write(folder, "scaled", scaled())
    write(folder, "keras", keras_lstm(), KERAS)
    write(folder, "keras-one", keras_lstm(batch=1), KERAS)
    write(folder, "keras-bare", keras_lstm())
    write(folder, "torch", torch_lstm(), TORCH)
    write(folder, "sklearn", classifier())
    large = linear(np.ones((64, 64), dtype=np.float32))
    external = {"save_as_external_data": True, "size_threshold": 0, "location": "model.onnx.data"}
    folder_of = write(folder, "external", large, **external)
    assert (folder_of / "model.onnx.data").exists()
    return folder


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Server]:
    with serving(repository, engine_threads=2) as server:
        yield server


def alone(repository: Path, name: str, **inputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
    session = onnxruntime.InferenceSession(repository / name / "1" / "model.onnx")
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("linear", {"x": np.arange(12, dtype=np.float32).reshape(3, 4)}),
        ("linear", {"x": np.zeros((200, 4), dtype=np.float32)}),
        ("normed", {"x": np.arange(8, dtype=np.float32).reshape(2, 4)}),
        ("scalar", {"x": np.array(2.5, dtype=np.float32)}),
        ("fixed", {"x": np.ones((2, 3), dtype=np.float32)}),
        ("table", {"x": np.array([3, 0, 3])}),
        ("scaled", {"x": np.ones((2, 2), dtype=np.float32)}),
        ("scaled", {"x": np.ones((2, 2), np.float32), "scale": np.full(1, 9.0, np.float32)}),
        ("external", {"x": np.ones((1, 64), dtype=np.float32)}),
    ],
)
def test_it_answers_as_onnxruntime_does(
    server: Server, repository: Path, name: str, inputs: dict[str, Any]
) -> None:
    found = outputs_of(ask(server, name, **inputs))
    wanted = alone(repository, name, **inputs)
    assert found.keys() == wanted.keys()
    for output, values in wanted.items():
        assert found[output].shape == values.shape
        np.testing.assert_allclose(found[output], values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["keras", "keras-one", "torch"])
def test_a_described_lstm_runs_sequences_of_any_lengths_in_cells(server: Server, name: str) -> None:
    random = np.random.default_rng(7)

    def check(seed: int) -> None:
        lengths = np.random.default_rng(seed).integers(1, 60, 4)
        steps = random.standard_normal((4, int(lengths.max()), FEATURES)).astype(np.float32)
        outputs = outputs_of(ask(server, name, x=steps, lengths=lengths))
        for row, length in enumerate(lengths):
            wanted = lstm_reference(steps[row, :length])
            np.testing.assert_allclose(outputs["y"][row, :length], wanted, atol=2e-6)
            assert not outputs["y"][row, length:].any()
            if "last" in outputs:
                np.testing.assert_allclose(outputs["last"][row], wanted[-1], atol=2e-6)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(check, range(24)))
    metrics = server.client.get("/metrics").text
    assert f'seqserve_model_info{{batching="cells",family="",model="{name}"' in metrics


def test_the_same_graph_without_description_takes_whole_tensors(
    server: Server, repository: Path
) -> None:
    random = np.random.default_rng(2)
    inputs = {
        "x": random.standard_normal((2, 9, FEATURES)).astype(np.float32),
        "h": random.standard_normal((2, HIDDEN)).astype(np.float32),
        "c": random.standard_normal((2, HIDDEN)).astype(np.float32),
    }
    found = outputs_of(ask(server, "keras-bare", **inputs))
    for name, values in alone(repository, "keras-bare", **inputs).items():
        np.testing.assert_allclose(found[name], values, atol=1e-6)


def test_a_request_that_fails_the_graph_harms_no_other(server: Server) -> None:
    def check(turn: int) -> None:
        if turn % 3 == 0:
            refusal = ask(server, "table", x=np.array([1, 99]))
            assert refusal.status_code == 422
            assert refusal.json()["field"] == "inputs"
            assert "table can't take these tensors" in refusal.json()["error"]
        else:
            ids = np.array([turn % 4, (turn + 1) % 4])
            rows = outputs_of(ask(server, "table", x=ids))["y"]
            assert rows[:, 0].tolist() == (2.0 * ids).tolist()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(check, range(240)))


@pytest.mark.parametrize(
    ("name", "inputs", "status", "message"),
    [
        ("linear", {"x": np.zeros((0, 4), np.float32)}, 400, "x has an axis of length 0"),
        ("linear", {"x": np.zeros((1, 4), np.float64)}, 400, "datatype is FP64"),
        ("linear", {"y": np.zeros((1, 4), np.float32)}, 400, "'y' is not one of x"),
        ("fixed", {"x": np.zeros((1, 3), np.float32)}, 400, "inputs[0].shape is [1, 3], the"),
        ("keras", {"x": np.zeros((1, 3, 2), np.float32)}, 422, "2 features"),
        ("keras", {"x": np.zeros((1, 5000, 3), np.float32)}, 422, "at most 4096"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_field(
    server: Server, name: str, inputs: dict[str, Any], status: int, message: str
) -> None:
    refusal = ask(server, name, **inputs)
    assert refusal.status_code == status
    assert message in refusal.json()["error"]


def test_the_metadata_says_how_requests_run(server: Server) -> None:
    together = server.client.get("/v2/models/linear").json()
    assert together["properties"] == {"batching": "by rows"}
    assert together["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    one = server.client.get("/v2/models/normed").json()["properties"]["batching"]
    assert one == "one request at a time: a row of y depends on the other rows"


def test_what_is_no_tensor_is_left_out_and_the_rest_serves(server: Server) -> None:
    about = server.client.get("/v2/models/sklearn").json()
    assert [output["name"] for output in about["outputs"]] == ["output_label"]
    assert about["properties"]["left_out"].startswith("no tensors: output_probability (seq(map(")


def test_it_has_no_task(server: Server) -> None:
    refusal = server.client.post("/v1/models/linear/predict", json={"sequences": [[[1.0]]]})
    assert refusal.status_code == 400
    assert "ask /v2/models/linear/infer" in refusal.json()["error"]
    assert server.client.get("/v1/models").json() == {"models": []}
