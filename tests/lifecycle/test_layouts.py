"""A graph that lies where none is looked for: log and index say so, and where it belongs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from service.repository.layout import look_into, no_graph
from tests.any_onnx.made import linear
from tests.http.refusals import check_refusal
from tests.lifecycle.asking import MODEL, Asking, write_versions
from tests.servers import CHECKOUT, Server, serving, wait_until

GRAPH = linear(np.ones((4, 2), np.float32)).SerializeToString()

MISPLACED = [
    ("mine.onnx", "mine.onnx", "move it to mine/1/model.onnx"),
    ("mine/model.onnx", "mine", "move mine/model.onnx to mine/1/model.onnx"),
    ("mine/best.onnx", "mine", "move mine/best.onnx to mine/1/model.onnx"),
    ("mine/v1/model.onnx", "mine", "mine/v1 is no version, which is a number: rename it to 1"),
    ("mine/v2.3/model.onnx", "mine", "mine/v2.3 is no version, which is a number: rename it to 2"),
    ("mine/01/model.onnx", "mine", "mine/01 is no version, which is a number: rename it to 1"),
    ("mine/0/model.onnx", "mine", "mine/0 is no version, which is a number: rename it to 1"),
    ("mine/latest/model.onnx", "mine", "mine/latest is no version"),
    ("mine/1", "mine", "mine/1 is a file: a version is a folder with model.onnx in it"),
    ("mine/x/1/model.onnx", "mine", "it is a repository of its own, with the model x: serve it by"),
    ("mine.pt", "mine.pt", "mine.pt is PyTorch's: only ONNX serves: export"),
    ("mine/model.safetensors", "mine", "model.safetensors is weights alone: only ONNX serves"),
    ("mine/saved_model.pb", "mine", "saved_model.pb is TensorFlow's: only ONNX serves"),
    ("mine/model.keras", "mine", "model.keras is Keras's: only ONNX serves"),
    ("mine/model.pkl", "mine", "model.pkl is a pickle: only ONNX serves"),
]

WITHOUT_GRAPH = [
    (["1/mymodel.onnx"], "there is no model.onnx: rename mymodel.onnx to model.onnx"),
    (["1/a.onnx", "1/b.onnx"], "one of a.onnx, b.onnx must be called so"),
    (["1/model/model.onnx"], "model/model.onnx lies one folder too deep: move it up"),
    (["1/model.pt"], "there is no model.onnx, but model.pt is PyTorch's: only ONNX serves"),
    (["1/saved_model/variables"], "saved_model is TensorFlow's: only ONNX serves"),
    (["1/model.json"], "there is no model.onnx, only model.json"),
    (["1/.keep"], "there is no model.onnx: the folder is empty"),
]


def put(folder: Path, paths: Iterable[str]) -> None:
    """Files with a graph's bytes in them."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(GRAPH)


@pytest.mark.parametrize(("path", "name", "words"), MISPLACED)
def test_what_lies_in_a_wrong_place_is_told_where_to_go(
    tmp_path: Path, path: str, name: str, words: str
) -> None:
    put(tmp_path, [path, "good/1/model.onnx"])
    layout = look_into(tmp_path)
    assert layout.models == ["good"]
    assert layout.misplaced.keys() == {name}
    assert words in layout.misplaced[name]
    assert not layout.unreadable
    assert not layout.fault


@pytest.mark.parametrize(("paths", "words"), WITHOUT_GRAPH)
def test_a_version_without_its_graph_says_what_it_has(
    tmp_path: Path, paths: list[str], words: str
) -> None:
    put(tmp_path / "mine", paths)
    assert look_into(tmp_path).models == ["mine"]
    assert words in no_graph(tmp_path / "mine" / "1")


def test_what_lies_beside_models_is_not_judged(tmp_path: Path) -> None:
    put(tmp_path, ["m/1/model.onnx", "m/old/model.onnx", "m/config.pbtxt", "README.md", "a/b.txt"])
    put(tmp_path, ["m/1/weights.bin", "m/notes/x.pt", ".git/model.onnx", "lost+found/model.onnx"])
    assert look_into(tmp_path) == (["m"], {}, {}, "")


def test_a_new_version_that_is_misnamed_is_told_beside_those_that_serve(tmp_path: Path) -> None:
    put(tmp_path, ["m/1/model.onnx", "m/v1/model.onnx"])
    assert "m/v1 is no version" in look_into(tmp_path).misplaced["m"]
    assert look_into(tmp_path).misplaced["m"].endswith("rename it to 2")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("m/1", "it is one version of the model m: give --repository {root}"),
        ("m", "it is the folder of one model, m: give the one above, {root}"),
        ("..", "there is no model in it as one must lie: <name>/<version>/model.onnx"),
        ("../empty", "there is no model in it: a graph belongs at"),
    ],
)
def test_a_repository_that_is_a_level_off_is_told_which_it_is(
    tmp_path: Path, given: str, words: str
) -> None:
    root = tmp_path / "models"
    put(root, ["m/1/model.onnx"])
    (tmp_path / "empty").mkdir()
    layout = look_into((root / given).resolve())
    assert layout.models == []
    assert words.format(root=root) in layout.fault


def index_of(server: Server) -> dict[tuple[str, str], str]:
    """The reason of each entry."""
    entries = server.client.post("/v2/repository/index").json()
    return {(entry["name"], entry["version"]): entry["reason"] for entry in entries}


def test_the_server_says_it_in_its_log_its_index_and_to_who_asks(tmp_path: Path) -> None:
    put(tmp_path, [path for path, *_ in MISPLACED[:4] if path != "mine/best.onnx"])
    put(tmp_path, ["named/1/mymodel.onnx"])
    write_versions(tmp_path, 1)
    with serving(
        tmp_path, strict_readiness=False, calibration_ms=1, poll_repository_s=0.05
    ) as server:
        index = index_of(server)
        assert "move it to mine/1/model.onnx" in index["mine.onnx", ""]
        assert "rename it to 1" in index["mine", ""]
        assert "rename mymodel.onnx" in index["named", "1"]
        event = server.wait_for_event("no model as it lies there", name="mine")
        assert event["reason"] == index["mine", ""]
        mine = Asking(server, "mine")
        check_refusal(mine.infer(), 503, "name", "rename it to 1", code="model_not_ready")
        check_refusal(mine.load(), 400, "", "rename it to 1", code="bundle_refused")
        assert Asking(server).answering() == "1"
        (tmp_path / "mine" / "v1").rename(tmp_path / "mine" / "1")
        wait_until(lambda: mine.states() == {"1": "READY"})
        assert ("mine", "") not in index_of(server)


def test_an_empty_repository_says_what_belongs_where(tmp_path: Path) -> None:
    with serving(tmp_path, ready=False, calibration_ms=1, poll_repository_s=0.05) as server:
        event = server.wait_for_event("no models", repository=str(tmp_path))
        wanted = f"there is no model in it: a graph belongs at {tmp_path}/<name>/1/model.onnx"
        assert event["reason"] == index_of(server)[str(tmp_path), ""] == wanted
        assert server.client.get("/v2/health/ready").status_code == 503
        write_versions(tmp_path, 1)
        server.wait_ready()
        assert index_of(server) == {(MODEL, "1"): ""}


def test_a_missing_repository_ends_the_start_unless_it_may_come(tmp_path: Path) -> None:
    missing = tmp_path / "models"
    command = [sys.executable, "-m", "service", "--port=0", f"--repository={missing}"]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert f"{missing}: there is no such file or folder" in ended.stderr
    assert "--poll-repository-s" in ended.stderr
    with serving(missing, ready=False, calibration_ms=1, poll_repository_s=0.05) as server:
        event = server.wait_for_event("can't be looked at", name=str(missing))
        assert index_of(server)[str(missing), ""] == event["reason"]
        write_versions(tmp_path / "made", 1)
        (tmp_path / "made").rename(missing)
        server.wait_ready()


def test_a_file_is_no_repository(tmp_path: Path) -> None:
    put(tmp_path, ["model.onnx"])
    command = [sys.executable, "-m", "service", f"--repository={tmp_path / 'model.onnx'}"]
    command += ["--poll-repository-s=1"]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "is not a folder but a file: give the folder" in ended.stderr


def test_a_model_that_is_given_as_the_repository_is_told_so(tmp_path: Path) -> None:
    write_versions(tmp_path, 1)
    with serving(tmp_path / MODEL, ready=False, calibration_ms=1) as server:
        event = server.wait_for_event("no models")
        assert f"it is the folder of one model, {MODEL}" in event["reason"]
        assert json.dumps(event["reason"]) in server.log
