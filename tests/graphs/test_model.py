"""OnnxModel: a session is taken only if its signature is the manifest's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from service.errors import BundleError
from service.graphs.model import OnnxModel
from service.graphs.session import open_session
from service.graphs.spec import spec_of
from service.manifest import Manifest
from tests.fakes import make_sequence
from tests.graphs.made import STATE, expected_sums, sum_graph, sum_manifest


def made(graph: bytes, manifest: Manifest) -> OnnxModel:
    return OnnxModel(open_session(graph), spec_of(manifest))


def test_it_runs_and_names_the_outputs() -> None:
    graph = sum_graph("cells")
    model = made(graph, sum_manifest(graph))
    steps = make_sequence([12, 34])
    outputs = model.run(
        steps[None], np.array([2], dtype=np.int64), {"sum": np.ones((1, 2), dtype=np.float32)}
    )
    assert outputs.keys() == {"logits", "sum_out"}
    assert outputs["logits"].tolist() == [[1 + total for total in expected_sums(steps)]]


def test_it_runs_without_state_and_keeps_to_the_lengths() -> None:
    graph = sum_graph("sequences")
    model = made(graph, sum_manifest(graph, "sequences"))
    batch = np.full((2, 3, 2), np.nan, dtype=np.float32)
    batch[0], batch[1, :1] = make_sequence([1, 2, 3]), make_sequence([45])
    outputs = model.run(batch, np.array([3, 1], dtype=np.int64), {})
    assert outputs["logits"].tolist() == [[0, 6], [4, 5]]


FAULTS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"inputs": "frames"}, {}, r"inputs are \['frames', 'lengths', 'sum'\], the manifest's"),
    ({}, {"state": [STATE[0] | {"input": "hidden"}]}, r"the manifest's \['hidden', 'inputs'"),
    ({}, {"state": [STATE[0] | {"shape": [3]}]}, "the graph's input sum is"),
    ({}, {"state": [STATE[0] | {"output": "h"}]}, "the graph has no output h"),
    ({"logits": "scores"}, {}, "the graph has no output logits"),
    ({"lengths_type": TensorProto.INT32}, {}, r"input lengths is tensor\(int32\)"),
    ({"axes": (4, "time")}, {}, r"inputs has a frozen axis: \[4, 'time', 2\]"),
    ({"axes": ("batch", 9)}, {}, r"inputs has a frozen axis: \['batch', 9, 2\]"),
]


@pytest.mark.parametrize(("graph_fault", "changes", "reason"), FAULTS)
def test_a_signature_that_is_not_the_manifests_is_refused(
    graph_fault: dict[str, Any], changes: dict[str, Any], reason: str
) -> None:
    graph = sum_graph("cells", **graph_fault)
    with pytest.raises(BundleError, match=reason):
        made(graph, sum_manifest(graph, **changes))


def test_a_graph_of_another_width_is_refused() -> None:
    graph = sum_graph("sequences")
    profile = {"length_quantiles": {}, "feature_means": [0], "feature_deviations": [1]}
    manifest = sum_manifest(graph, "sequences", inputs={"features": ["one"]}, profile=profile)
    with pytest.raises(BundleError, match="the graph's input inputs is"):
        made(graph, manifest)


@pytest.mark.parametrize("graph", [b"", b"not a graph", sum_graph()[:-20]])
def test_bytes_that_are_no_graph_are_refused(graph: bytes) -> None:
    with pytest.raises(BundleError, match="onnxruntime can't load the graph"):
        open_session(graph)
