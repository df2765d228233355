"""The bundle's contract: what it keeps, and what it refuses and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.errors import BundleError
from service.manifest import GRAPH_FILE, MANIFEST_FILE, Manifest, read_graph, read_manifest
from tests.fakes import make_manifest
from tests.graphs.made import (
    VARIANT_FILE,
    sum_graph,
    sum_manifest,
    write_sum_bundle,
    write_variant,
)

AUDIO = {"kind": "log_mel", "num_mels": 2}


def rewrite(folder: Path, **changes: Any) -> None:
    """Change fields of the document on disk."""
    path = folder / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The folder of a good bundle's version."""
    return write_sum_bundle(tmp_path, "sum", version="3")


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    manifest = make_manifest("cells", audio=AUDIO)
    folder = tmp_path / "sum" / "1"
    folder.mkdir(parents=True)
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json())
    found = read_manifest(folder)
    assert found == manifest
    assert found.state[0].initial == 7.0
    assert found.audio is not None
    assert found.num_features == 2


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"colour": "red"}, "colour: is unknown"),
    (
        {"limits": {"max_length": 9, "min_length": 1}},
        "limits.min_length: is unknown; did you mean max_length?",
    ),
    ({"limits": {"max_length": 0}}, "limits.max_length"),
    ({"state": []}, "batching is `cells` exactly when the graph carries state"),
    ({"batching": "sequences"}, "batching is `cells` exactly when the graph carries state"),
    ({"batching": "rows"}, "batching: "),
    ({"task": "poetry"}, "task: "),
    ({"audio": AUDIO | {"num_mels": 40}}, "audio.num_mels differs from the number of input"),
    ({"outputs": {"labels": ["a", "b"], "weights": "w"}}, "can't answer weights of all steps"),
    ({"outputs": {"labels": ["only"]}}, "outputs.labels"),
    ({"inputs": {"features": []}}, "a step is either features or tokens"),
    ({"inputs": {"features": ["a", "b"], "tokens": [9]}}, "a step is either features or tokens"),
    ({"inputs": {"tokens": [0]}}, "inputs.tokens[0]: "),
    ({"outputs": {"values": 3}}, "a classification has labels"),
    ({"outputs": {"labels": ["a", "b"], "values": 2}}, "either labels or a number of values"),
    (
        {"settings": {"task": "tagging", "num_characters": 4}},
        "settings are of tagging, the task is classification",
    ),
    ({"files": {"../words.txt": {"sha256": "0" * 64, "num_bytes": 1}}}, "files.../words.txt"),
    ({"inputs": {"features": ["a", "b", "c"]}}, "feature_means and feature_deviations"),
    ({"sha256": "F" * 64}, "sha256: "),
    ({"graph_bytes": 0}, "graph_bytes: "),
    ({"variants": {"int4": {}}}, "variants.int4"),
    ({"refused_variants": {"fp16": "slow"}}, "refused_variants.fp16"),
    ({"version": "0"}, "version: "),
    ({"version": "01"}, "version: "),
    ({"name": "../etc"}, "name: "),
    ({"name": ""}, "name: "),
    ({"schema_version": 0}, "schema_version: "),
    ({"schema_version": "1"}, "schema_version: "),
    ({"name": "other"}, "says other/3, its folder says sum/3"),
    ({"version": "4"}, "says sum/4, its folder says sum/3"),
    ({"schema_version": 2}, "has schema_version 2; this server reads up to 1"),
    ({"schema_version": 9, "from_later": True}, "has schema_version 9; this server reads up to 1"),
]


@pytest.mark.parametrize(("changes", "reason"), REFUSED)
def test_what_is_not_the_contract_is_refused_by_name(
    bundle: Path, changes: dict[str, Any], reason: str
) -> None:
    assert read_manifest(bundle).name == "sum"
    rewrite(bundle, **changes)
    with pytest.raises(BundleError) as refusal:
        read_manifest(bundle)
    assert MANIFEST_FILE in str(refusal.value)
    assert reason in str(refusal.value)


@pytest.mark.parametrize("field", ["sha256", "limits", "outputs", "profile", "name"])
def test_a_field_that_is_missing_is_named(bundle: Path, field: str) -> None:
    path = bundle / MANIFEST_FILE
    document = json.loads(path.read_text())
    del document[field]
    path.write_text(json.dumps(document))
    with pytest.raises(BundleError, match=f"{field}: is missing"):
        read_manifest(bundle)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not JSON: it is empty"),
        (b'{"name": "su', "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[1, 2]", "is not a JSON object"),
        (b"null", "is not a JSON object"),
        (b"[" * 200_000, "nested too deeply"),
    ],
)
def test_what_is_not_a_json_object_is_refused(bundle: Path, content: bytes, reason: str) -> None:
    (bundle / MANIFEST_FILE).write_bytes(content)
    with pytest.raises(BundleError, match=reason):
        read_manifest(bundle)


@pytest.mark.parametrize("numbers", ["[NaN, 1.0]", "[1.0, Infinity]"])
def test_numbers_that_json_does_not_have_are_refused(bundle: Path, numbers: str) -> None:
    path = bundle / MANIFEST_FILE
    path.write_text(path.read_text().replace("[4.0,5.0]", numbers))
    assert numbers in path.read_text()
    with pytest.raises(BundleError, match=r"profile\.feature_means\[[01]\]: .*finite"):
        read_manifest(bundle)


def test_a_missing_manifest_is_refused(bundle: Path) -> None:
    (bundle / MANIFEST_FILE).unlink()
    with pytest.raises(BundleError, match=r"model\.json can't be read"):
        read_manifest(bundle)


def test_the_graph_is_read_whole(bundle: Path) -> None:
    assert read_graph(bundle, read_manifest(bundle)) == sum_graph()


def test_a_truncated_graph_is_refused_by_its_size(bundle: Path) -> None:
    size = len(sum_graph())
    (bundle / GRAPH_FILE).write_bytes(sum_graph()[:-1])
    with pytest.raises(BundleError, match=f"has {size - 1} bytes, the manifest says {size}"):
        read_graph(bundle, read_manifest(bundle))


def test_a_tampered_graph_is_refused_by_its_digest(bundle: Path) -> None:
    graph = bytearray(sum_graph())
    graph[len(graph) // 2] ^= 1
    (bundle / GRAPH_FILE).write_bytes(graph)
    with pytest.raises(BundleError, match=r"model\.onnx has sha256 [0-9a-f]{64}, the manifest"):
        read_graph(bundle, read_manifest(bundle))


def test_a_missing_graph_is_refused(bundle: Path) -> None:
    (bundle / GRAPH_FILE).unlink()
    with pytest.raises(BundleError, match=r"model\.onnx is missing"):
        read_graph(bundle, read_manifest(bundle))


def test_a_variant_is_read_whole(bundle: Path) -> None:
    write_variant(bundle, sum_graph(offset=1.0))
    manifest = read_manifest(bundle)
    assert manifest.precisions == ["fp32", "int8"]
    assert read_graph(bundle, manifest) == sum_graph()
    assert read_graph(bundle, manifest, "int8") == sum_graph(offset=1.0)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.unlink(), r"model\.int8\.onnx is missing"),
        (lambda path: path.write_bytes(b"short"), r"model\.int8\.onnx has 5 bytes"),
        (lambda path: path.write_bytes(sum_graph(offset=2.0)), r"model\.int8\.onnx has sha256"),
    ],
)
def test_a_damaged_variant_is_refused_and_fp32_is_not(
    bundle: Path, damage: Callable[[Path], object], reason: str
) -> None:
    write_variant(bundle, sum_graph(offset=1.0))
    damage(bundle / VARIANT_FILE)
    manifest = read_manifest(bundle)
    assert read_graph(bundle, manifest) == sum_graph()
    with pytest.raises(BundleError, match=reason):
        read_graph(bundle, manifest, "int8")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"file": "../model.onnx"}, "variants.int8.file"),
        ({"file": "model.onnx"}, "variants.int8.file"),
        ({"tolerance": 0.0}, "variants.int8.tolerance"),
        ({"agreement": 1.5}, "variants.int8.agreement"),
        ({"colour": "red"}, "variants.int8.colour"),
    ],
)
def test_a_wrong_variant_is_refused_by_name(
    bundle: Path, changes: dict[str, Any], reason: str
) -> None:
    write_variant(bundle, sum_graph(), **changes)
    with pytest.raises(BundleError, match=reason):
        read_manifest(bundle)


def test_a_variant_is_not_refused_too(bundle: Path) -> None:
    write_variant(bundle, sum_graph())
    rewrite(bundle, refused_variants={"int8": "too slow"})
    with pytest.raises(BundleError, match="both name int8"):
        read_manifest(bundle)


def test_a_manifest_does_not_change() -> None:
    manifest: Manifest = sum_manifest(sum_graph())
    with pytest.raises(ValueError, match="frozen"):
        manifest.version = "2"  # type: ignore[misc]
