"""A tensor with an axis of length 0 is refused by name before any graph runs, however it comes.

The graphs only change signs, so that what would get through does no harm.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, helper

from tests.any_onnx.made import FEATURES, KERAS, graph, keras_lstm, one_node, tensor, write
from tests.grpc.asking import GrpcServer, arrays_of, message, serving_grpc
from tests.http.made import make_bundle
from tests.http.payloads import tensor as json_tensor
from tests.http.scrape import Scrape


def joined() -> ModelProto:
    """`y` is `x`, of which there is never anything, and `z`."""
    node = helper.make_node("Concat", ["x", "z"], ["y"], axis=1)
    inputs = [tensor("x", ["n", 0]), tensor("z", ["n", 2])]
    return graph([node], inputs, [tensor("y", ["n", 2])])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GrpcServer]:
    folder = tmp_path_factory.mktemp("empty")
    make_bundle(folder)
    write(folder, "rows", one_node("Neg", ["n", "m"], ["n", "m"]))
    write(folder, "one", one_node("Neg", [2, "m"], [2, "m"]))
    write(folder, "open", one_node("Neg", ["n"], ["n"]))
    write(folder, "joined", joined())
    write(folder, "keras", keras_lstm(), KERAS)
    with serving_grpc(folder, workers=1) as server:
        yield server


EMPTY: list[tuple[str, str, tuple[int, ...]]] = [
    ("rows", "x", (0, 3)),
    ("rows", "x", (2, 0)),
    ("one", "x", (2, 0)),
    ("open", "x", (0,)),
    ("keras", "x", (0, 4, FEATURES)),
    ("keras", "x", (2, 0, FEATURES)),
    ("made", "inputs", (1, 0, 2)),
    ("made", "inputs", (0, 2, 2)),
]
each_empty = pytest.mark.parametrize(("model", "name", "shape"), EMPTY)


def num_runs(server: GrpcServer, model: str) -> float:
    return Scrape(server.process)("seqserve_batch_size_count", model=model)


def check_refused(status: int, body: dict[str, Any], name: str) -> None:
    assert status in (400, 422), body
    assert body["field"].startswith((name, "inputs[0]")), body
    assert name in body["error"]


@each_empty
def test_as_json(server: GrpcServer, model: str, name: str, shape: tuple[int, ...]) -> None:
    before = num_runs(server, model)
    body = {"inputs": [json_tensor(name, np.zeros(shape, np.float32))]}
    answer = server.process.client.post(f"/v2/models/{model}/infer", json=body)
    check_refused(answer.status_code, answer.json(), name)
    assert num_runs(server, model) == before


@each_empty
def test_as_binary(server: GrpcServer, model: str, name: str, shape: tuple[int, ...]) -> None:
    head = (
        f'{{"inputs": [{{"name": "{name}", "shape": {list(shape)}, "datatype": "FP32", '
        '"parameters": {"binary_data_size": 0}}]}'
    ).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    answer = server.process.client.post(f"/v2/models/{model}/infer", content=head, headers=headers)
    check_refused(answer.status_code, answer.json(), name)


@pytest.mark.parametrize("model", ["one", "open"])
def test_as_raw_bytes(server: GrpcServer, model: str) -> None:
    headers = {"Inference-Header-Content-Length": "0"}
    answer = server.process.client.post(f"/v2/models/{model}/infer", content=b"", headers=headers)
    assert answer.status_code == 400, "no body is read as a tensor"


@each_empty
def test_over_grpc(server: GrpcServer, model: str, name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(grpc.RpcError) as refusal:
        server.infer(message(model, {name: np.zeros(shape, np.float32)}))
    error = refusal.value
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    field = dict(error.trailing_metadata())["error-field"]
    check_refused(422, {"field": field, "error": error.details()}, name)


@pytest.mark.parametrize("sequences", [[], [[]], [[[1.0, 2.0]], []]])
def test_to_a_task(server: GrpcServer, sequences: list[Any]) -> None:
    answer = server.process.client.post("/v1/models/made/predict", json={"sequences": sequences})
    check_refused(answer.status_code, answer.json(), "sequences")


def test_an_axis_that_is_always_empty_was_tried_at_load_and_serves(server: GrpcServer) -> None:
    given: dict[str, NDArray[Any]] = {
        "x": np.zeros((3, 0), np.float32),
        "z": np.ones((3, 2), np.float32),
    }
    assert (arrays_of(server.infer(message("joined", given)))["y"] == given["z"]).all()
    body = {"inputs": [json_tensor(name, array) for name, array in given.items()]}
    answer = server.process.client.post("/v2/models/joined/infer", json=body)
    assert answer.json()["outputs"][0]["shape"] == [3, 2]
    body["inputs"][0]["shape"] = [0, 0]
    refused = server.process.client.post("/v2/models/joined/infer", json=body)
    check_refused(refused.status_code, refused.json(), "x")
