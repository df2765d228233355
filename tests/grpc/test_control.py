"""Models loaded and unloaded over gRPC, as over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from tests.any_onnx.made import linear, write
from tests.grpc.asking import GrpcServer, serving_grpc

WEIGHTS = np.ones((4, 2), np.float32)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GrpcServer]:
    write(tmp_path, "linear", linear(WEIGHTS))
    with serving_grpc(tmp_path) as server:
        yield server


def test_a_model_goes_and_comes_back(server: GrpcServer) -> None:
    server.client.unload_model("linear")
    assert not server.client.is_model_ready("linear")
    server.client.load_model("linear")
    assert server.client.is_model_ready("linear")


def test_a_model_comes_with_its_files(server: GrpcServer) -> None:
    graph = linear(WEIGHTS).SerializeToString()
    policy = json.dumps({"version_policy": {"all": {}}})
    files = {"file:1/model.onnx": graph, "file:2/model.onnx": graph}
    server.client.load_model("linear", config=policy, files=files)
    assert sorted(server.client.get_model_metadata("linear").versions) == ["1", "2"]


def test_a_bad_one_is_refused_and_what_served_goes_on(server: GrpcServer) -> None:
    with pytest.raises(InferenceServerException, match="onnxruntime can't load") as refusal:
        server.client.load_model("linear", config="{}", files={"file:1/model.onnx": b"rubbish"})
    assert refusal.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert server.client.is_model_ready("linear")


def test_what_is_not_there_is_not_loaded(server: GrpcServer) -> None:
    with pytest.raises(InferenceServerException) as refusal:
        server.client.load_model("nosuch")
    assert refusal.value.status() == "StatusCode.NOT_FOUND"


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    write(tmp_path, "linear", linear(WEIGHTS))
    with serving_grpc(tmp_path, allow_model_control=False) as server:
        with pytest.raises(InferenceServerException) as refusal:
            server.client.unload_model("linear")
        assert refusal.value.status() == "StatusCode.PERMISSION_DENIED"
