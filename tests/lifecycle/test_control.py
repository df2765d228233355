"""Loading, reloading and unloading by requests: what is refused leaves everything as it was."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tritonclient.http import InferenceServerClient

from service.manifest import GRAPH_FILE, MANIFEST_FILE
from service.repository.routes import UNLOADED
from tests.http.refusals import check_refusal
from tests.http.scrape import Scrape
from tests.lifecycle.asking import MODEL, Asking, upload_of, write_versions
from tests.servers import Server, serving


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with serving(folder, calibration_ms=1, max_upload_bytes=100_000) as server:
        yield server


@pytest.fixture
def asking(server: Server) -> Asking:
    return Asking(server)


def test_a_load_takes_up_the_versions_that_came(folder: Path, asking: Asking) -> None:
    assert asking.answering() == "1"
    write_versions(folder, 2)
    assert asking.answering() == "1"
    response = asking.load()
    assert (response.status_code, response.content) == (200, b"")
    assert asking.answering() == "2"
    assert asking.states() == {"1": "UNAVAILABLE", "2": "READY"}


def test_a_load_of_a_loaded_model_reads_its_files_again(folder: Path, asking: Asking) -> None:
    manifest = folder / MODEL / "1" / MANIFEST_FILE
    manifest.write_text(manifest.read_text().replace('"family":"fake"', '"family":"other"'))
    assert asking.load().status_code == 200
    assert asking.answering("1") == "1"
    assert asking.client.get("/v1/models").json()["models"][0]["family"] == "other"


def test_a_bad_version_is_refused_and_the_one_before_goes_on(folder: Path, asking: Asking) -> None:
    write_versions(folder, 2)
    (folder / MODEL / "2" / GRAPH_FILE).write_bytes(b"no graph")
    response = asking.load()
    check_refusal(response, 400, "", "version 2", "has 8 bytes", code="bundle_refused")
    assert asking.answering() == "1"
    assert asking.index()["1"] == ("READY", "")
    state, reason = asking.index()["2"]
    assert (state, "has 8 bytes" in reason) == ("UNAVAILABLE", True)
    check_refusal(asking.infer("2"), 503, "name", "has 8 bytes", code="model_not_ready")
    assert asking.client.get("/v2/health/ready").status_code == 200


def test_a_version_whose_files_went_bad_serves_as_it_was_loaded(
    folder: Path, asking: Asking
) -> None:
    (folder / MODEL / "1" / GRAPH_FILE).write_bytes(b"no graph")
    check_refusal(asking.load(), 400, "", "version 1", "has 8 bytes", code="bundle_refused")
    assert asking.answering() == "1"
    state, reason = asking.index()["1"]
    assert (state, "its files now are refused" in reason) == ("READY", True)


def test_an_unloaded_model_is_not_found_until_it_is_loaded_again(
    server: Server, asking: Asking
) -> None:
    assert asking.answering() == "1"
    response = asking.unload()
    assert (response.status_code, response.content) == (200, b"")
    assert asking.index() == {"1": ("UNAVAILABLE", UNLOADED)}
    for version in (None, "1"):
        check_refusal(asking.infer(version), 404, "version" if version else "name")
    assert asking.client.get(f"/v2/models/{MODEL}/ready").status_code == 404
    assert Scrape(server)("seqserve_model_info", model=MODEL) == 0
    assert asking.unload().status_code == 200, "once more is no fault"
    assert asking.load().status_code == 200
    assert asking.answering() == "1"
    assert Scrape(server)("seqserve_model_info", model=MODEL) == 1


def test_an_unknown_model_is_not_found(server: Server) -> None:
    for name in ("nobody", "..", ".hidden", "%2e%2e%2frepository"):
        asking = Asking(server, name)
        assert asking.load().status_code == 404, name
        assert asking.unload().status_code == 404, name


def test_a_model_can_come_in_a_request_and_go_again(
    tmp_path: Path, folder: Path, server: Server
) -> None:
    asking = Asking(server, "sent")
    write_versions(tmp_path / "elsewhere", 3, 4, name="sent")
    files = upload_of(tmp_path / "elsewhere" / "sent")
    assert asking.load({"versions": "all"}, **files).status_code == 200
    assert asking.versions() == ["3", "4"]
    assert asking.answering() == "4"
    assert not (folder / "sent").exists()
    assert asking.unload().status_code == 200
    assert asking.index() == {}
    check_refusal(asking.load(), 404, "name", "no model 'sent'")


def test_files_that_come_in_a_request_stand_in_for_the_repository_s(
    tmp_path: Path, asking: Asking
) -> None:
    write_versions(tmp_path / "elsewhere", 2)
    files = upload_of(tmp_path / "elsewhere" / MODEL)
    assert asking.load({}, **files).status_code == 200
    assert asking.states() == {"2": "READY"}
    assert asking.answering() == "2"
    spoiled = {**files, f"file:2/{GRAPH_FILE}": base64.b64encode(b"no graph").decode()}
    response = asking.load({}, **spoiled)
    check_refusal(response, 400, "", "version 2", "has 8 bytes", code="bundle_refused")
    assert asking.index() == {"2": ("READY", "")}
    assert asking.answering() == "2"
    assert asking.load().status_code == 200
    assert asking.answering() == "1"


BAD_FILES: list[tuple[str, object]] = [
    ("file:../1/model.onnx", "AAAA"),
    ("file:1/../model.onnx", "AAAA"),
    ("file:1//model.onnx", "AAAA"),
    ("file:/etc/passwd", "AAAA"),
    ("file:1/.hidden", "AAAA"),
    ("file:1/a/b", "AAAA"),
    ("file:model.onnx", "AAAA"),
    ("file:1/model.onnx\n", "AAAA"),
    ("file:0/model.onnx", "AAAA"),
    ("file:1/model.onnx", "no base64!"),
    ("file:1/model.onnx", 7),
    ("colour", "red"),
]


@pytest.mark.parametrize(("key", "value"), BAD_FILES)
def test_a_bad_file_is_refused_by_its_name(asking: Asking, key: str, value: object) -> None:
    check_refusal(asking.load({}, **{key: value}), 400, f"parameters.{key}")
    assert asking.index() == {"1": ("READY", "")}


def test_files_beyond_the_limit_and_without_a_configuration_are_refused(asking: Asking) -> None:
    content = base64.b64encode(bytes(60_000)).decode()
    two = {"file:1/model.onnx": content, "file:1/model.json": content}
    check_refusal(asking.load({}, **two), 413, "parameters", "100000 bytes")
    one: dict[str, Any] = {"file:1/model.onnx": "AAAA"}
    check_refusal(asking.load(**one), 400, "parameters.config", "must come with files")


def test_control_is_refused_beyond_this_machine_unless_it_is_allowed(folder: Path) -> None:
    cases: list[tuple[dict[str, Any], bool]] = [
        ({"host": "0.0.0.0"}, False),
        ({"host": "0.0.0.0", "allow_model_control": True}, True),
        ({"allow_model_control": False}, False),
        ({"host": "localhost"}, True),
    ]
    for settings, allowed in cases:
        with serving(folder, calibration_ms=1, **settings) as server:
            asking = Asking(server)
            for response in (asking.load(), asking.unload()):
                if allowed:
                    assert response.status_code == 200
                else:
                    check_refusal(response, 403, "", "allow_model_control", code="forbidden")


def test_triton_s_own_client_loads_and_unloads(server: Server, folder: Path) -> None:
    write_versions(folder, 2)
    client = InferenceServerClient(server.base_url.removeprefix("http://"))
    client.load_model(MODEL, config='{"version_policy": {"all": {}}}')
    assert client.is_model_ready(MODEL, "1")
    assert client.is_model_ready(MODEL, "2")
    client.unload_model(MODEL, unload_dependents=True)
    assert not client.is_model_ready(MODEL)
    index = client.get_model_repository_index()
    assert {(e["version"], e["state"]) for e in index} == {
        ("1", "UNAVAILABLE"),
        ("2", "UNAVAILABLE"),
    }
    graph = (folder / MODEL / "1" / GRAPH_FILE).read_bytes()
    manifest = (folder / MODEL / "1" / MANIFEST_FILE).read_bytes()
    files = {f"file:1/{GRAPH_FILE}": graph, f"file:1/{MANIFEST_FILE}": manifest}
    client.load_model(MODEL, config="{}", files=files)
    assert client.is_model_ready(MODEL, "1")
    client.close()
