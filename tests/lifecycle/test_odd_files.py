"""What can't be read to its end, and names and texts that can't be written, harm no other model."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.any_onnx.made import linear
from tests.servers import serving

GRAPH = linear(np.ones((4, 2), np.float32)).SerializeToString()
LABELS = {"task": {"labels": ["a", "\ud800"]}, "inputs": {"name": "x"}}


def pipe_for_a_graph(model: Path) -> None:
    os.mkfifo(model / "1" / "model.onnx")


def pipe_for_a_description(model: Path) -> None:
    (model / "1" / "model.onnx").write_bytes(GRAPH)
    os.mkfifo(model / "1" / "model.json")


def pipe_for_a_policy(model: Path) -> None:
    (model / "1" / "model.onnx").write_bytes(GRAPH)
    os.mkfifo(model / "serving.json")


def half_a_character(model: Path) -> None:
    (model / "1" / "model.onnx").write_bytes(GRAPH)
    (model / "1" / "model.json").write_text(json.dumps(LABELS))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (pipe_for_a_graph, "model.onnx is neither a file nor a folder"),
        (pipe_for_a_description, "model.json is neither a file nor a folder"),
        (pipe_for_a_policy, "it is no file but a pipe"),
        (half_a_character, r"\ud800 is half of a character"),
    ],
)
def test_one_such_model_is_refused_and_the_others_serve(
    tmp_path: Path, make: Callable[[Path], None], reason: str
) -> None:
    good, bad = tmp_path / "zz" / "1", tmp_path / "mm"
    good.mkdir(parents=True)
    (good / "model.onnx").write_bytes(GRAPH)
    (bad / "1").mkdir(parents=True)
    make(bad)
    # whose name is bytes of Latin-1
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")) / "1").mkdir(parents=True)
    with serving(tmp_path, strict_readiness=False) as server:
        entries = server.client.post("/v2/repository/index").json()
        states = {entry["name"]: entry for entry in entries}
        assert states["zz"]["state"] == "READY"
        assert states["mm"]["state"] == "UNAVAILABLE"
        assert reason in states["mm"]["reason"]
        assert "no UTF-8" in states[r"caf\xe9"]["reason"]
        for path in ("/metrics", "/v1/models", "/v2/models", "/"):
            assert server.client.get(path).status_code == 200, path
