"""Every bundle is verified before it serves, and a bad one is refused beside the good ones."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto

from service.app import bounds_of
from service.engine.engine import Engine
from service.errors import ModelNotFoundError, ModelNotReadyError, StorageError
from service.manifest import GRAPH_FILE, MANIFEST_FILE
from service.repository.policy import ServingConfig
from service.repository.repository import Repository
from service.repository.routes import Entry
from service.repository.uploads import unpack
from service.settings import Settings
from service.telemetry.metrics import Metrics
from tests.engine.harness import predict
from tests.fakes import TIMEOUT_S, Result, make_sequence
from tests.graphs.made import (
    expected_sums,
    sum_graph,
    sum_manifest,
    write_bundle,
    write_sum_bundle,
)


class Server:
    """A repository of one folder, its engine and its metrics."""

    def __init__(self, folder: Path) -> None:
        self.engine = Engine(1)
        self.metrics = Metrics()
        self.repository = Repository(folder, self.engine, self.metrics, bounds_of(Settings()))

    def load(self) -> Repository:
        """Load every bundle; return when all are dealt with."""
        self.repository.start()
        assert self.repository._scanned.wait(TIMEOUT_S)
        return self.repository

    def close(self) -> None:
        """End every thread."""
        self.repository.close()
        self.engine.close()

    def metric(self, name: str, **labels: str) -> float | None:
        """The value of a sample, None if there is none."""
        return self.metrics.registry.get_sample_value(name, labels)

    def check_serves(self, name: str) -> None:
        """Fail unless this model answers, and right."""
        steps = make_sequence(range(1, 40))
        served = self.repository.get(name)

        async def answer() -> list[Result]:
            return await predict(self.engine, served.scheduler, [steps])

        (result,) = asyncio.run(answer())
        assert result.logits.tolist() == expected_sums(steps)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with a good bundle of either kind."""
    write_sum_bundle(tmp_path, "good-cells", "cells")
    write_sum_bundle(tmp_path, "good-sequences", "sequences")
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    """Made when asked for, after the test wrote its bundles: see `start`."""
    server = Server(folder)
    yield server
    server.close()


@pytest.fixture
def start() -> Iterator[Any]:
    """Makes servers of a folder as it is now, loads and closes them."""
    servers: list[Server] = []

    def make(folder: Path) -> Server:
        servers.append(Server(folder))
        servers[-1].load()
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def entry_of(server: Server, name: str) -> Entry:
    return {entry.name: entry for entry in server.repository.index()}[name]


def test_it_is_ready_when_all_are_loaded_and_not_before(server: Server) -> None:
    assert not server.repository.is_ready(strict=True)
    assert not server.repository.is_ready(strict=False)
    assert [entry.state for entry in server.repository.index()] == ["LOADING"] * 2
    with pytest.raises(ModelNotReadyError, match="it is still loading"):
        server.repository.get("good-cells")
    server.load()
    assert server.repository.is_ready(strict=True)
    assert [entry.state for entry in server.repository.index()] == ["READY"] * 2
    server.check_serves("good-cells")
    server.check_serves("good-sequences")


def test_a_model_that_serves_is_in_the_metrics(server: Server) -> None:
    server.load()
    model = {"model": "good-cells", "version": "1"}
    runs = model | {"precision": "fp32"}
    info = runs | {"family": "fake", "task": "classification", "batching": "cells"}
    assert server.metric("seqserve_model_info", **info) == 1
    assert (server.metric("seqserve_model_load_seconds", **model) or 0) > 0
    assert server.metric("seqserve_queue_depth", **runs) == 0
    assert server.metric("seqserve_active_sequences", **runs) == 0
    assert server.metric("seqserve_model_load_failures_total") == 0


def tamper(folder: Path) -> None:
    graph = bytearray((folder / GRAPH_FILE).read_bytes())
    graph[-1] ^= 1
    (folder / GRAPH_FILE).write_bytes(graph)


def truncate(folder: Path) -> None:
    (folder / GRAPH_FILE).write_bytes((folder / GRAPH_FILE).read_bytes()[:100])


def from_newer_schema(folder: Path) -> None:
    document = json.loads((folder / MANIFEST_FILE).read_text())
    (folder / MANIFEST_FILE).write_text(json.dumps(document | {"schema_version": 2}))


def invalid_json(folder: Path) -> None:
    (folder / MANIFEST_FILE).write_text("{,}")


def deep_json(folder: Path) -> None:
    (folder / MANIFEST_FILE).write_text("[" * 200_000)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (tamper, "has sha256"),
        (truncate, "has 100 bytes, the manifest says"),
        (from_newer_schema, "schema_version 2; this server reads up to 1"),
        (invalid_json, "model.json is not JSON"),
        (deep_json, "nested too deeply"),
    ],
)
def test_a_damaged_bundle_is_refused_with_its_reason_and_the_others_serve(
    folder: Path, start: Any, damage: Any, reason: str
) -> None:
    damage(write_sum_bundle(folder, "bad"))
    check_refused(start(folder), reason)


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        ({"axes": (1, "time")}, "has a frozen axis"),
        ({"inputs": "frames"}, "the graph's inputs are ['frames'"),
        ({"lengths_type": TensorProto.INT32}, "input lengths is tensor(int32)"),
        ({"reads_padding": True}, "not batch-invariant: logits of a sequence of"),
    ],
)
def test_a_bad_graph_is_refused_with_its_reason_and_the_others_serve(
    folder: Path, start: Any, faults: dict[str, Any], reason: str
) -> None:
    write_sum_bundle(folder, "bad", **faults)
    check_refused(start(folder), reason)


def test_labels_that_are_not_the_graphs_are_refused(folder: Path, start: Any) -> None:
    graph = sum_graph()
    manifest = sum_manifest(graph, name="bad", outputs={"labels": ["a", "b", "c"]})
    write_bundle(folder, manifest, graph)
    check_refused(start(folder), "output logits has shape")


def check_refused(server: Server, reason: str) -> None:
    """Fail unless `bad` is refused for this reason and the good models serve."""
    bad = entry_of(server, "bad")
    assert bad.state == "UNAVAILABLE"
    assert reason in bad.reason
    with pytest.raises(ModelNotReadyError) as refusal:
        server.repository.get("bad")
    assert reason in str(refusal.value)
    assert server.metric("seqserve_model_load_failures_total") == 1
    assert not server.repository.is_ready(strict=True)
    assert server.repository.is_ready(strict=False)
    server.check_serves("good-cells")
    server.check_serves("good-sequences")


def test_the_latest_version_serves_by_number_not_by_letters(folder: Path, start: Any) -> None:
    for version in ("2", "9", "10"):
        write_sum_bundle(folder, "many", version=version)
    server = start(folder)
    assert server.repository.get("many").manifest.version == "10"
    assert server.repository.get("many", "10").manifest.version == "10"
    with pytest.raises(ModelNotFoundError, match="no version '9'; it serves 10"):
        server.repository.get("many", "9")


def test_a_bad_latest_version_is_shown_beside_the_older_one_that_takes_over(
    folder: Path, start: Any
) -> None:
    write_sum_bundle(folder, "half", version="1")
    tamper(write_sum_bundle(folder, "half", version="2"))
    server = start(folder)
    assert entry_of(server, "half").version == "2"
    assert entry_of(server, "half").state == "UNAVAILABLE"
    assert "has sha256" in entry_of(server, "half").reason
    assert server.repository.get("half").manifest.version == "1"
    with pytest.raises(ModelNotReadyError, match="has sha256"):
        server.repository.get("half", "2")
    assert server.metric("seqserve_model_load_failures_total") == 1
    assert server.repository.is_ready(strict=True)
    server.check_serves("half")


def test_an_unknown_model_is_not_found(server: Server) -> None:
    with pytest.raises(ModelNotFoundError, match="there is no model 'nobody'"):
        server.load().get("nobody")


def test_what_is_no_version_of_a_model_is_no_model(folder: Path, start: Any) -> None:
    (folder / "README.md").write_text("notes")
    (folder / "1").write_text("a file named like a version")
    (folder / "empty").mkdir()
    (folder / "drafts" / "latest").mkdir(parents=True)
    (folder / "good-cells" / "2").write_text("a file named like a version")
    (folder / "good-cells" / ".3.partial").mkdir()
    server = start(folder)
    assert [(entry.name, entry.version) for entry in server.repository.index()] == [
        ("good-cells", "1"),
        ("good-sequences", "1"),
    ]
    assert server.repository.is_ready(strict=True)


def test_an_empty_repository_is_ready_only_if_that_is_not_strict(
    tmp_path: Path, start: Any
) -> None:
    server = start(tmp_path)
    (entry,) = server.repository.index()
    assert (entry.name, entry.version, entry.state) == (str(tmp_path), "", "UNAVAILABLE")
    assert f"a graph belongs at {tmp_path}/<name>/1/model.onnx" in entry.reason
    assert not server.repository.is_ready(strict=True)
    assert server.repository.is_ready(strict=False)


def test_a_repository_that_never_started_closes(server: Server) -> None:
    server.repository.close()
    assert not server.repository.is_ready(strict=False)


def test_loading_stops_when_the_server_does(server: Server) -> None:
    server.repository._stopping.set()
    server.repository.start()
    server.close()
    assert [entry.state for entry in server.repository.index()] == ["LOADING"] * 2
    assert not server.repository.is_ready(strict=False)


def test_files_that_there_is_no_room_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/no-such-folder")
    with pytest.raises(StorageError, match="No such file"):
        unpack("sums", {"1/model.onnx": b""}, ServingConfig())
