"""A bundle that can't be trusted is refused with its reason; the others serve on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.http.made import change_manifest, copy_bundle, make_bundle, steps
from tests.http.payloads import frames, infer_body, infer_path, predict_body, predict_path
from tests.http.refusals import check_refusal, check_serving
from tests.servers import Server, serving, wait_until


def truncate(folder: Path) -> None:
    graph = folder / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-100])


def tamper(folder: Path) -> None:
    graph = folder / "model.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)


def swap(folder: Path) -> None:
    """Another model's graph, its sum and size told truly."""
    other = folder.parent.parent / "digits-lstm" / "1"
    (folder / "model.onnx").write_bytes((other / "model.onnx").read_bytes())
    told = json.loads((other / "model.json").read_text())
    change_manifest(folder, sha256=told["sha256"], graph_bytes=told["graph_bytes"])


def break_json(folder: Path) -> None:
    (folder / "model.json").write_text("{")


def drop_graph(folder: Path) -> None:
    (folder / "model.onnx").unlink()


def change(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: change_manifest(folder, **changes)


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (truncate, "bytes"),
    "tampered": (tamper, "sha256"),
    "newer-schema": (change(schema_version=2), "schema_version 2"),
    "unknown-field": (change(surprise=1), "surprise"),
    "another-name": (change(name="digits-gru"), "digits-gru"),
    "not-json": (break_json, "model.json"),
    "no-graph": (drop_graph, "model.onnx"),
    "another-graph": (swap, "inputs"),
    "frames-unlike": (change(audio={"kind": "log_mel", "num_mels": 13}), "audio.num_mels"),
}


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Every fault in one repository, beside two sound bundles."""
    repository = tmp_path_factory.mktemp("damaged")
    copy_bundle("digits-lstm", repository)
    copy_bundle("digits-rnn", repository)
    for name, (damage, _) in FAULTS.items():
        folder = copy_bundle("digits-rnn", repository / ".work")
        folder.parent.rename(repository / name)
        change_manifest(repository / name / "1", name=name)
        damage(repository / name / "1")
    with serving(repository, ready=False) as server:
        wait_until(lambda: "LOADING" not in states(server).values())
        yield server


def index(server: Server) -> dict[str, dict[str, str]]:
    response = server.client.post("/v2/repository/index")
    assert response.status_code == 200
    return {entry["name"]: entry for entry in response.json()}


def states(server: Server) -> dict[str, str]:
    return {name: entry["state"] for name, entry in index(server).items()}


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_bundle_is_refused_with_its_reason(damaged: Server, name: str) -> None:
    words = FAULTS[name][1]
    entry = index(damaged)[name]
    assert entry["state"] == "UNAVAILABLE"
    assert words in entry["reason"]
    ready = damaged.client.get(f"/v2/models/{name}/ready")
    assert (ready.status_code, ready.json()) == (503, {"name": name, "ready": False})
    for path, body in (
        (predict_path(name), predict_body(frames(3))),
        (infer_path(name), infer_body(frames(3))),
    ):
        response = damaged.client.post(path, json=body)
        check_refusal(response, 503, "name", words, code="model_not_ready")
        assert int(response.headers["Retry-After"]) >= 1
    logged = damaged.wait_for_event("model refused", model=name)
    assert words in logged["reason"]


def test_the_others_serve_and_readiness_says_no(damaged: Server) -> None:
    client = damaged.client
    assert client.get("/v2/health/live").status_code == 200
    ready = client.get("/v2/health/ready")
    assert (ready.status_code, ready.json()) == (503, {"ready": False})
    check_serving(client, "digits-lstm")
    check_serving(client, "digits-rnn")
    listed = [model["name"] for model in client.get("/v1/models").json()["models"]]
    assert listed == ["digits-lstm", "digits-rnn"]
    metrics = client.get("/metrics").text
    assert f"seqserve_model_load_failures_total {len(FAULTS)}.0" in metrics
    only_ready = client.post("/v2/repository/index", json={"ready": True}).json()
    assert [entry["name"] for entry in only_ready] == listed


def test_readiness_that_is_not_strict_ignores_what_was_refused(tmp_path: Path) -> None:
    copy_bundle("digits-lstm", tmp_path)
    truncate(copy_bundle("digits-rnn", tmp_path))
    with serving(tmp_path, strict_readiness=False) as server:
        assert states(server) == {"digits-lstm": "READY", "digits-rnn": "UNAVAILABLE"}


def test_of_several_versions_the_latest_serves(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "repository")
    for version in ("2", "10"):
        other = folder.with_name(version)
        other.mkdir()
        for name in ("model.onnx", "model.json"):
            (other / name).write_bytes((folder / name).read_bytes())
        change_manifest(other, version=version)
    (folder.parent / "notes").mkdir()
    with serving(tmp_path / "repository") as server:
        body = {"sequences": [steps()]}
        answer = server.client.post(predict_path("made"), json=body).json()
        assert answer["version"] == "10"
        assert server.client.get("/v2/models/made/versions/10").status_code == 200
        check_refusal(
            server.client.get("/v2/models/made/versions/2"), 404, "version", "it serves 10"
        )
