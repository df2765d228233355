"""What a folder can't make the server do: read files outside of it, or take what is no model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import helper

from tests.any_onnx.made import KERAS, graph, keras_lstm, linear, steals, tensor, write
from tests.servers import serving


def optional_input() -> bytes:
    """A graph whose input is no tensor."""
    element = helper.make_tensor_type_proto(1, ["n"])
    sequence = helper.make_value_info("x", helper.make_sequence_type_proto(element))
    node = helper.make_node("ConcatFromSequence", ["x"], ["y"], axis=0)
    return bytes(graph([node], [sequence], [tensor("y", ["m"])]).SerializeToString())


def test_each_is_refused_with_its_reason_and_the_good_one_serves(tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.ones(4, np.float32).tobytes())
    repository = tmp_path / "repository"
    graphs = {
        "escapes": (steals("../../../secret.bin"), "escapes model directory"),
        "absolute": (steals(str(secret)), "External data path validation failed"),
        "linked": (steals("link.bin"), "link.bin is a link out of the model's folder"),
        "sequence": (optional_input(), "input x is a seq(tensor(float)), no tensor"),
        "rubbish": (b"rubbish", "onnxruntime can't load the graph"),
    }
    for name, (content, _) in graphs.items():
        folder = repository / name / "1"
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(content)
    (repository / "linked" / "1" / "link.bin").symlink_to(secret)
    (repository / "linked-graph" / "1").mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere.onnx"
    elsewhere.write_bytes(linear(np.ones((4, 2), np.float32)).SerializeToString())
    (repository / "linked-graph" / "1" / "model.onnx").symlink_to(elsewhere)
    (repository / "empty" / "1").mkdir(parents=True)
    crossed = [{"input": "h", "output": "c_out"}, {"input": "c", "output": "h_out"}]
    write(repository, "crossed", keras_lstm(), KERAS | {"state": crossed})
    write(repository, "crossed-one", keras_lstm(batch=1), KERAS | {"state": crossed})
    rounding = keras_lstm()
    rounding.graph.node.append(
        helper.make_node("DynamicQuantizeLinear", ["y"], ["rounded", "scale", "zero_point"])
    )
    write(repository, "rounding", rounding, KERAS)
    good = write(repository, "good", linear(np.ones((4, 2), np.float32)))
    (good / "model.onnx").rename(good / "the-graph")
    (good / "model.onnx").symlink_to("the-graph")  # as Kubernetes mounts a ConfigMap
    reasons = {name: reason for name, (_, reason) in graphs.items()}
    reasons |= {
        "empty": "there is no model.onnx: the folder is empty",
        "crossed": "its state is not carried over",
    }
    reasons["crossed-one"] = "in chunks of 16 steps"
    reasons["rounding"] = "state: DynamicQuantizeLinear rounds by the largest value of all rows"
    reasons["linked-graph"] = "model.onnx is a link out of the model's folder"
    with serving(repository, strict_readiness=False) as server:
        index = {
            entry["name"]: entry for entry in server.client.post("/v2/repository/index").json()
        }
        for name, reason in reasons.items():
            assert index[name]["state"] == "UNAVAILABLE", index[name]
            assert reason in index[name]["reason"], index[name]
        body = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1.0] * 4}]}
        answer = server.client.post("/v2/models/good/infer", json=body)
        assert answer.json()["outputs"][0]["data"] == [4.0, 4.0]
