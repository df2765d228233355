"""A few lines say what the answers mean: then a described graph is asked for in words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from service.description import read_description
from service.errors import BundleError
from service.graphs.described.describe import describe
from service.graphs.session import open_session
from service.tasks.described import described_task
from tests.any_onnx.kinds import CELL_STATES, CHANNELS, cell, convolution
from tests.any_onnx.made import FEATURES, graph, tensor, write
from tests.servers import Server, serving

node = helper.make_node
TABLE = np.random.default_rng(8).standard_normal((9, 3)).astype(np.float32)


def of_last(activation: str | None = None, width: int = 3) -> onnx.ModelProto:
    """Some values of the last step of a sequence, (batch, width)."""
    nodes = [node("Gather", ["x", "end"], ["last"], axis=1), node("MatMul", ["last", "w"], ["z"])]
    nodes.append(node(activation or "Identity", ["z"], ["y"]))
    weights = np.linspace(-1, 1, FEATURES * width, dtype=np.float32).reshape(FEATURES, width)
    inputs = [tensor("x", ["n", "t", FEATURES])]
    return graph(nodes, inputs, [tensor("y", ["n", width])], w=weights, end=np.array(-1))


def of_ids() -> onnx.ModelProto:
    """Three values of each id."""
    ids = tensor("ids", ["n", "t"], TensorProto.INT32)
    nodes = [node("Gather", ["table", "ids"], ["y"])]
    return graph(nodes, [ids], [tensor("y", ["n", "t", 3])], table=TABLE)


TWO, THREE = ["low", "high"], ["a", "b", "c"]
X: dict[str, Any] = {"inputs": {"name": "x"}}
MODELS: dict[str, tuple[onnx.ModelProto, dict[str, Any]]] = {
    "logits": (of_last(), X | {"task": {"labels": THREE, "features": ["u", "v", "w"]}}),
    "softmaxed": (of_last("Softmax"), X | {"task": {"labels": THREE, "activation": "none"}}),
    "sigmoid": (of_last(width=1), X | {"task": {"labels": TWO, "activation": "sigmoid"}}),
    "one": (of_last("Sigmoid", 1), X | {"task": {"labels": TWO, "activation": "none"}}),
    "ids": (of_ids(), {"inputs": {"name": "ids"}, "task": {"labels": THREE}}),
    "ctc": (convolution(stride=2, padding=1), CHANNELS | {"task": {"labels": TWO}}),
    "cell": (
        cell(),
        {
            "inputs": {"name": "x", "time_axis": None},
            "state": CELL_STATES,
            "outputs": ["y"],
            "task": {"labels": TWO, "activation": "sigmoid"},
        },
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("tasks")
    for name, (model, description) in MODELS.items():
        write(folder, name, model, description)
    with serving(folder, calibration_ms=20) as server:
        yield server


def predict(server: Server, name: str, **body: Any) -> list[dict[str, Any]]:
    response = server.client.post(f"/v1/models/{name}/predict", json=body)
    assert response.status_code == 200, response.text
    predictions: list[dict[str, Any]] = response.json()["predictions"]
    return predictions


def tensors(server: Server, name: str, data: list[Any], input_name: str, kind: str) -> Any:
    """The first output of one sequence."""
    values = np.array(data)[None]
    body = {"name": input_name, "shape": values.shape, "datatype": kind, "data": values.tolist()}
    response = server.client.post(f"/v2/models/{name}/infer", json={"inputs": [body]})
    output = response.json()["outputs"][0]
    return np.array(output["data"]).reshape(output["shape"])[0]


def softmax(values: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(values)
    shares: NDArray[Any] = powers / powers.sum(axis=-1, keepdims=True)
    return shares


SEQUENCES = [[[1.0, 2.0, 3.0], [0.5, -1.0, 1.5]], [[-2.0, 0.0, 1.0]]]


@pytest.mark.parametrize("name", ["logits", "softmaxed"])
def test_it_names_the_likeliest_labels_of_each_sequence(server: Server, name: str) -> None:
    for prediction, sequence in zip(
        predict(server, name, sequences=SEQUENCES, top_k=3), SEQUENCES, strict=True
    ):
        weights = np.linspace(-1, 1, 9).reshape(3, 3)
        wanted = softmax(np.array(sequence[-1]) @ weights)
        best = int(wanted.argmax())
        assert prediction["label"] == THREE[best]
        assert prediction["probability"] == pytest.approx(wanted[best], abs=1e-6)
        found = {ranked["label"]: ranked["probability"] for ranked in prediction["top"]}
        assert [found[label] for label in THREE] == pytest.approx(wanted.tolist(), abs=1e-6)


@pytest.mark.parametrize("name", ["sigmoid", "one"])
def test_a_single_value_decides_between_two(server: Server, name: str) -> None:
    for prediction, sequence in zip(
        predict(server, name, sequences=SEQUENCES, top_k=2), SEQUENCES, strict=True
    ):
        high = 1 / (1 + np.exp(-np.dot(sequence[-1], [-1, 0, 1])))
        found = {ranked["label"]: ranked["probability"] for ranked in prediction["top"]}
        assert found == pytest.approx({"low": 1 - high, "high": high}, abs=1e-6)


def test_each_id_has_a_label(server: Server) -> None:
    asked = [[0, 3, 8], [5]]
    predictions = predict(server, "ids", ids=asked, explain=True)
    for prediction, ids in zip(predictions, asked, strict=True):
        wanted = softmax(TABLE[ids].astype(float))
        assert prediction["labels"] == [THREE[best] for best in wanted.argmax(axis=1)]
        np.testing.assert_allclose(prediction["posteriors"], wanted, atol=1e-6)
        np.testing.assert_allclose(prediction["probabilities"], wanted.max(axis=1), atol=1e-6)


@pytest.mark.parametrize("name", ["ctc", "cell"])
def test_each_step_has_a_label_where_the_steps_are_fewer_too(server: Server, name: str) -> None:
    random = np.random.default_rng(3)
    sequences = [random.standard_normal((length, 3)).round(3).tolist() for length in (9, 1, 6)]
    predictions = predict(server, name, sequences=sequences)
    for prediction, sequence in zip(predictions, sequences, strict=True):
        values = tensors(server, name, sequence, "x", "FP32")
        if name == "cell":
            values = np.concatenate([np.zeros_like(values), values], axis=-1)  # of a sigmoid
        wanted = softmax(values)
        assert (
            len(prediction["labels"])
            == len(values)
            == (-(-len(sequence) // 4) if name == "ctc" else len(sequence))
        )
        assert prediction["labels"] == [TWO[best] for best in wanted.argmax(axis=1)]
        np.testing.assert_allclose(prediction["probabilities"], wanted.max(axis=1), atol=1e-5)


def test_it_is_among_the_models_with_what_it_takes(server: Server) -> None:
    about = {model["name"]: model for model in server.client.get("/v1/models").json()["models"]}
    assert about["logits"]["task"] == "classification"
    assert about["logits"]["features"] == ["u", "v", "w"]
    assert about["logits"]["labels"] == THREE
    assert about["logits"]["quality"] is None
    assert about["ctc"]["task"] == about["cell"]["task"] == "step_classification"
    paths = server.client.get("/openapi.json").json()["paths"]
    for name in MODELS:
        content = paths[f"/v1/models/{name}/predict"]["post"]["requestBody"]["content"]
        example = next(iter(content["application/json"]["examples"].values()))["value"]
        answer = server.client.post(f"/v1/models/{name}/predict", json=example)
        assert answer.status_code == 200, (name, answer.text)


@pytest.mark.parametrize(
    ("name", "body", "field", "message"),
    [
        ("logits", {}, "sequences", "give sequences"),
        ("logits", {"ids": [[1]]}, "ids", "logits takes sequences, not ids"),
        ("ids", {"sequences": [[[1.0]]]}, "sequences", "ids takes ids, not sequences"),
        ("ids", {"ids": [[1, 1 << 31]]}, "ids[0][1]", "no int32"),
        ("ids", {"ids": [[]]}, "ids[0]", "has no steps"),
        ("logits", {"sequences": [[[1.0]]]}, "sequences[0]", "1 features a step"),
        ("logits", {"audio": "AAAA"}, "audio[0]", "takes sequences, not recordings"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_field(
    server: Server, name: str, body: dict[str, Any], field: str, message: str
) -> None:
    refusal: httpx.Response = server.client.post(f"/v1/models/{name}/predict", json=body)
    assert refusal.status_code in (400, 422)
    assert refusal.json()["field"] == field
    assert message in refusal.json()["error"]


def test_values_of_different_steps_are_not_ranked_together(server: Server) -> None:
    for name in ("cell", "ctc"):
        about = server.client.get(f"/v2/models/{name}").json()
        taken, given = about["inputs"][0], about["outputs"][0]
        shape = [1, 30, *taken["shape"][2:]]
        tensor = {"name": taken["name"], "datatype": taken["datatype"], "shape": shape}
        ranked = {"name": given["name"], "parameters": {"classification": 1}}
        body = {"inputs": [{**tensor, "data": [0] * math.prod(shape)}], "outputs": [ranked]}
        refusal = server.client.post(f"/v2/models/{name}/infer", json=body)
        assert refusal.status_code == 400
        assert refusal.json()["field"] == "outputs[0].parameters.classification"


def test_the_classification_extension_knows_the_labels(server: Server) -> None:
    body = {
        "inputs": [{"name": "x", "shape": [1, 1, 3], "datatype": "FP32", "data": [1, 2, 3]}],
        "outputs": [{"name": "y", "parameters": {"classification": 1}}],
    }
    answer = server.client.post("/v2/models/logits/infer", json=body).json()
    assert answer["outputs"][0]["data"][0].endswith(":2:c")


def make_task(session: onnxruntime.InferenceSession, document: Any) -> None:
    description = read_description(document)
    described_task("made", "1", description, describe(session, description).spec)


@pytest.mark.parametrize(
    ("model", "task", "reason"),
    [
        (of_last(), {"labels": TWO}, r"task.labels: y has 3 values \(float32\) for 2 labels"),
        (of_last(width=1), {"labels": TWO}, "or with activation `sigmoid` or `none`"),
        (of_last(), {"labels": THREE, "output": "z"}, "task.output: say which .*, y"),
        (of_last(), {"labels": THREE, "name": "step_classification"}, "task.name: y is for class"),
        (of_last(), {"labels": THREE, "features": ["u"]}, "task.features: 1 names for 3 features"),
        (of_ids(), {"labels": THREE, "features": ["u"]}, "task.features: ids has ids"),
        (of_last(), {"labels": ["one"]}, "task.labels: must have at least 2"),
        (of_last(), {"labels": THREE, "name": "tagging"}, "task.name: must be 'class"),
    ],
)  # fmt: skip
def test_a_task_that_is_not_so_is_refused(
    model: onnx.ModelProto, task: dict[str, Any], reason: str
) -> None:
    name = model.graph.input[0].name
    session = open_session(model.SerializeToString())
    with pytest.raises(BundleError, match=reason):
        make_task(session, {"inputs": {"name": name}, "task": task})
