"""A tensor with an axis of length 0 is refused by name before any graph runs, however it comes,
unless the graph was seen to take it.

The graphs are harmless: they change signs, join, or fail with an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import ModelProto, helper

from tests.any_onnx.made import FEATURES, KERAS, Shape, graph, keras_lstm, one_node, tensor, write
from tests.grpc.asking import GrpcServer, arrays_of, message, serving_grpc
from tests.http.made import make_bundle
from tests.http.payloads import tensor as json_tensor
from tests.http.scrape import Scrape
from tests.protocol import asking


def joined() -> ModelProto:
    """`y` is `x`, of which there is never anything, and `z`."""
    node = helper.make_node("Concat", ["x", "z"], ["y"], axis=1)
    inputs = [tensor("x", ["n", 0]), tensor("z", ["n", 2])]
    return graph([node], inputs, [tensor("y", ["n", 2])])


def first_step() -> ModelProto:
    """`y` is the first step of `x`: without any, it fails with an error."""
    node = helper.make_node("Gather", ["x", "place"], ["y"], axis=1)
    return graph([node], [tensor("x", ["n", "m"])], [tensor("y", ["n"])], place=np.array(0))


def decoder(past: str | None, time: str) -> ModelProto:
    """Attention of `x` over itself and what came before, which is kept for the next call.

    Args:
        past: Name of the axis of what came before; None: it has none.
        time: Of the axis of new steps.
    """
    nodes = [
        helper.make_node("Concat", ["past_k", "x"], ["k"], axis=1),
        helper.make_node("Concat", ["past_v", "x"], ["v"], axis=1),
        helper.make_node("Transpose", ["k"], ["k_last"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["x", "k_last"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", "v"], ["y"]),
    ]
    kept = [tensor(name, ["n", past, FEATURES]) for name in ("past_k", "past_v")]  # type: ignore[list-item]
    found = [tensor(name, ["n", "all", FEATURES]) for name in ("k", "v")]
    steps: Shape = ["n", time, FEATURES]
    return graph(
        nodes,
        [*kept, tensor("x", steps)],
        [tensor("y", steps), *found],
    )


def three_joined() -> ModelProto:
    """`y` is `a`, `b` and `c`, of any length each."""
    node = helper.make_node("Concat", ["a", "b", "c"], ["y"], axis=1)
    inputs = [tensor(name, ["n", f"{name}_time"]) for name in "abc"]
    return graph([node], inputs, [tensor("y", ["n", "all"])])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GrpcServer]:
    folder = tmp_path_factory.mktemp("empty")
    make_bundle(folder)
    write(folder, "rows", one_node("Neg", ["n", "m"], ["n", "m"]))
    write(folder, "one", one_node("Neg", [2, "m"], [2, "m"]))
    write(folder, "open", one_node("Neg", ["n"], ["n"]))
    write(folder, "first", first_step())
    write(folder, "decoder", decoder("past", "time"))
    write(folder, "unnamed", decoder(None, "time"))
    write(folder, "three", three_joined())
    write(folder, "joined", joined())
    write(folder, "keras", keras_lstm(), KERAS)
    with serving_grpc(folder, workers=1) as server:
        yield server


Arrays = dict[str, NDArray[Any]]

EMPTY: list[tuple[str, str, tuple[int, ...]]] = [
    ("rows", "x", (0, 3)),
    ("rows", "x", (0, 0)),
    ("one", "x", (2, 0, 0)),
    ("first", "x", (2, 0)),
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
    sent: dict[str, NDArray[Any]] = {
        "x": np.zeros((3, 0), np.float32),
        "z": np.ones((3, 2), np.float32),
    }
    assert (arrays_of(server.infer(message("joined", sent)))["y"] == sent["z"]).all()
    body = {"inputs": [json_tensor(name, array) for name, array in sent.items()]}
    answer = server.process.client.post("/v2/models/joined/infer", json=body)
    assert answer.json()["outputs"][0]["shape"] == [3, 2]
    body["inputs"][0]["shape"] = [0, 0]
    refused = server.process.client.post("/v2/models/joined/infer", json=body)
    check_refused(refused.status_code, refused.json(), "x")


def as_json(server: GrpcServer, model: str, sent: Arrays) -> Arrays:
    body = {"inputs": [json_tensor(name, array) for name, array in sent.items()]}
    return asking.outputs_of(asking.infer(server.process.client, model, body))


def as_binary(server: GrpcServer, model: str, sent: Arrays) -> Arrays:
    parts = [asking.described(name, it, "FP32", binary=True) for name, it in sent.items()]
    body = {
        "inputs": [described for described, _ in parts],
        "parameters": {"binary_data_output": True},
    }
    blobs = b"".join(blob for _, blob in parts)
    headers = {asking.LENGTH: str(len(json.dumps(body)))}
    answer = asking.infer(server.process.client, model, body, blobs, headers)
    return asking.outputs_of(answer)


def over_grpc(server: GrpcServer, model: str, sent: Arrays) -> Arrays:
    return arrays_of(server.infer(message(model, sent)))


def steps(rows: int, length: int, seed: int = 0) -> NDArray[np.float32]:
    random = np.random.default_rng((rows, length, seed))
    return random.standard_normal((rows, length, FEATURES)).astype(np.float32)


@pytest.mark.parametrize("send", [as_json, as_binary, over_grpc])
@pytest.mark.parametrize("model", ["decoder", "unnamed"])
@pytest.mark.parametrize(("rows", "length"), [(1, 4), (3, 1), (2, 0)])
def test_a_decoder_begins_with_an_empty_past(
    server: GrpcServer, model: str, rows: int, length: int, send: Callable[..., Arrays]
) -> None:
    alone = onnxruntime.InferenceSession(decoder("past", "time").SerializeToString())
    past = np.zeros((rows, 0, FEATURES), np.float32)
    sent = {"past_k": past, "past_v": past, "x": steps(rows, length)}
    for _ in range(2):
        answer = send(server, model, sent)
        for output, wanted in zip(alone.get_outputs(), alone.run(None, sent), strict=True):
            assert answer[output.name].shape == wanted.shape
            assert np.array_equal(answer[output.name], wanted)
        sent = {"past_k": answer["k"], "past_v": answer["v"], "x": steps(rows, 2, 1)}


def test_what_may_be_empty_is_in_the_metadata(server: GrpcServer) -> None:
    def said(model: str) -> Any:
        about = server.process.client.get(f"/v2/models/{model}").json()
        return about["properties"].get("may_be_empty")

    past, both = "axis 1 of past_k with axis 1 of past_v", "axis 1 of x"
    assert said("decoder") == f"{both}; {past}; {past} with {both}"
    assert said("rows") == "axis 1 of x"
    assert said("first") is None
    assert said("keras") is None


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 3), st.fixed_dictionaries(dict.fromkeys("abc", st.integers(0, 2))))
def test_only_axes_that_were_seen_empty_at_once_may_be_so(
    server: GrpcServer, rows: int, lengths: dict[str, int]
) -> None:
    """Each alone was, and all together; two were not."""
    sent = {name: np.full((rows, size), size, np.float32) for name, size in lengths.items()}
    if [*lengths.values()].count(0) != 2:
        wanted = np.concatenate([sent[name] for name in "abc"], axis=1)
        assert np.array_equal(as_json(server, "three", sent)["y"], wanted)
        return
    body = {"inputs": [json_tensor(name, array) for name, array in sent.items()]}
    refusal = server.process.client.post("/v2/models/three/infer", json=body)
    first = next(name for name, size in lengths.items() if size == 0)
    assert refusal.status_code == 400
    assert f"{first} has an axis of length 0" in refusal.json()["error"]
