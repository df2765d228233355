"""Every family becomes a bundle; what fails on the way leaves the repository as it was."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from models import FAMILIES
from service.manifest import read_graph, read_manifest
from tests.training.conftest import Exported
from training.export.bundle import export_run
from training.export.graph import SAMPLE_BATCH, SAMPLE_TIME
from training.export.lint import ExportError

Export = Callable[[str], Exported]

IN_CELLS = {"rnn", "lstm", "gru"}
WITH_WEIGHTS = {"attention", "transformer", "hybrid"}
OPERATORS = {
    "rnn": ["RNN", "RNN"],
    "lstm": ["LSTM", "LSTM"],
    "gru": ["GRU", "GRU"],
    "birnn": ["LSTM", "LSTM"],
    "attention": ["GRU", "GRU"],
    "transformer": [],
    "hybrid": ["GRU"],
}


def contents(repository: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(repository)): path.read_bytes()
        for path in repository.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(
            family, marks=[] if family in ("lstm", "birnn", "transformer") else pytest.mark.deep
        )
        for family in FAMILIES
    ],
)
def test_a_family_becomes_a_bundle(family: str, exported: Export) -> None:
    bundle = exported(family)
    manifest = read_manifest(bundle.folder)
    graph = onnx.load_from_string(read_graph(bundle.folder, manifest))

    assert [(pair.input, pair.output, tuple(pair.shape)) for pair in manifest.state] == [
        (name, f"{name}_out", shape) for name, shape in bundle.model.state_shapes().items()
    ]
    assert manifest.batching == ("cells" if family in IN_CELLS else "sequences")
    assert manifest.outputs.weights == ("weights" if family in WITH_WEIGHTS else None)
    recurrent = [
        node.op_type for node in graph.graph.node if node.op_type in ("RNN", "LSTM", "GRU")
    ]
    assert recurrent == OPERATORS[family]
    assert max(cell.max_abs_error for cell in manifest.parity) < 1e-5
    assert {cell.batch for cell in manifest.parity}.isdisjoint({SAMPLE_BATCH})
    assert {cell.time for cell in manifest.parity}.isdisjoint({SAMPLE_TIME})
    assert {path.name for path in bundle.folder.iterdir()} == {
        "model.onnx",
        "model.json",
        "metrics.json",
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_a_graph_tells_nothing_of_the_machine_that_made_it(family: str, exported: Export) -> None:
    content = (exported(family).folder / "model.onnx").read_bytes()
    for trace in (b".py", b"torch/", str(Path.cwd()).encode(), sys.prefix.encode()):
        assert trace not in content


@pytest.fixture
def cached_export(exported: Export, monkeypatch: pytest.MonkeyPatch) -> Exported:
    """The GRU's bundle, and an exporter that gives its graph at once."""
    bundle = exported("gru")
    monkeypatch.setattr(
        "training.export.bundle.export_graph", lambda run_folder, write: bundle.graph()
    )
    return bundle


def test_a_failing_gate_writes_nothing(
    exported: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = exported("gru")
    spoilt = bundle.graph()
    spoilt.graph.input[0].type.tensor_type.shape.dim[1].dim_value = SAMPLE_TIME
    monkeypatch.setattr("training.export.bundle.export_graph", lambda *_: spoilt)
    with pytest.raises(ExportError, match="lint: input inputs has axes"):
        export_run(bundle.run_folder, tmp_path / "repository")
    assert not list(tmp_path.iterdir())


def test_a_version_is_replaced_only_when_asked(cached_export: Exported, tmp_path: Path) -> None:
    folder = export_run(cached_export.run_folder, tmp_path)
    (folder / "model.onnx").write_bytes(b"the old graph")
    with pytest.raises(ExportError, match="toy-gru version 1 exists"):
        export_run(cached_export.run_folder, tmp_path)
    assert (folder / "model.onnx").read_bytes() == b"the old graph"

    export_run(cached_export.run_folder, tmp_path, replace=True)
    read_graph(folder, read_manifest(folder))
    assert [path.name for path in folder.parent.iterdir()] == ["1"]


def test_versions_lie_side_by_side(cached_export: Exported, tmp_path: Path) -> None:
    export_run(cached_export.run_folder, tmp_path)
    folder = export_run(cached_export.run_folder, tmp_path, version="2")
    assert read_manifest(folder).version == "2"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["1", "2"]


def test_a_full_disk_leaves_the_old_version(
    cached_export: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_run(cached_export.run_folder, tmp_path)
    before = contents(tmp_path)

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        export_run(cached_export.run_folder, tmp_path, replace=True)
    assert contents(tmp_path) == before


def test_a_failing_rename_puts_the_old_version_back(
    cached_export: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_run(cached_export.run_folder, tmp_path)
    before = contents(tmp_path)
    rename = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if ".new-" in path.name:
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="Input/output"):
        export_run(cached_export.run_folder, tmp_path, replace=True)
    assert contents(tmp_path) == before
