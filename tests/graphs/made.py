"""Tiny ONNX graphs and bundles: the sum of each feature over a sequence's real steps."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from service.manifest import GRAPH_FILE, MANIFEST_FILE, Manifest
from tests.fakes import NUM_FEATURES, make_manifest

VARIANT_FILE = "model.int8.onnx"
STATE = [{"input": "sum", "output": "sum_out", "shape": [NUM_FEATURES]}]


def sum_graph(
    kind: Literal["cells", "sequences"] = "cells",
    reads_padding: bool = False,
    axes: tuple[str | int, str | int] = ("batch", "time"),
    inputs: str = "inputs",
    lengths_type: int = TensorProto.INT64,
    logits: str = "logits",
    offset: float = 0.0,
) -> bytes:
    """The bytes of the graph, of one whose logits are `offset` more, or of one with a fault."""
    batch, time = axes
    signature = [
        helper.make_tensor_value_info(inputs, TensorProto.FLOAT, [batch, time, NUM_FEATURES]),
        helper.make_tensor_value_info("lengths", lengths_type, ["batch"]),
    ]
    outputs = [helper.make_tensor_value_info(logits, TensorProto.FLOAT, ["batch", NUM_FEATURES])]
    constants = [
        helper.make_tensor("zero", TensorProto.INT64, [], [0]),
        helper.make_tensor("one", TensorProto.INT64, [], [1]),
        helper.make_tensor("axis_1", TensorProto.INT64, [1], [1]),
        helper.make_tensor("axis_2", TensorProto.INT64, [1], [2]),
        helper.make_tensor("nothing", TensorProto.FLOAT, [], [0.0]),
        helper.make_tensor("offset", TensorProto.FLOAT, [], [offset]),
    ]
    nodes = [
        helper.make_node("Cast", ["lengths"], ["counts"], to=TensorProto.INT64),
        helper.make_node("Shape", [inputs], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["time"]),
        helper.make_node("Range", ["zero", "time", "one"], ["steps"]),
        helper.make_node("Unsqueeze", ["counts", "axis_1"], ["stops"]),
        helper.make_node("Less", ["steps", "stops"], ["mask"]),
        helper.make_node("Unsqueeze", ["mask", "axis_2"], ["real"]),
        helper.make_node("Where", ["real", inputs, "nothing"], ["masked"]),
        helper.make_node(
            "ReduceSum", [inputs if reads_padding else "masked", "axis_1"], ["total"], keepdims=0
        ),
    ]
    total = "total"
    if kind == "cells":
        width: list[str | int | None] = ["batch", NUM_FEATURES]
        signature.append(helper.make_tensor_value_info("sum", TensorProto.FLOAT, width))
        outputs.append(helper.make_tensor_value_info("sum_out", TensorProto.FLOAT, width))
        nodes.append(helper.make_node("Add", ["sum", "total"], ["sum_out"]))
        total = "sum_out"
    nodes.append(helper.make_node("Add", [total, "offset"], [logits]))
    graph = helper.make_graph(nodes, "sum", signature, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def sum_manifest(
    graph: bytes, kind: Literal["cells", "sequences"] = "cells", **changes: Any
) -> Manifest:
    """The manifest of such a graph."""
    fields: dict[str, Any] = {
        "state": STATE if kind == "cells" else [],
        "sha256": hashlib.sha256(graph).hexdigest(),
        "graph_bytes": len(graph),
    }
    return make_manifest(kind, **(fields | changes))


def write_bundle(repository: Path, manifest: Manifest, graph: bytes) -> Path:
    """Write one version's folder; returns it."""
    folder = repository / manifest.name / manifest.version
    folder.mkdir(parents=True)
    (folder / GRAPH_FILE).write_bytes(graph)
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json())
    return folder


def write_sum_bundle(
    repository: Path,
    name: str,
    kind: Literal["cells", "sequences"] = "cells",
    version: str = "1",
    **faults: Any,
) -> Path:
    """Write a bundle of such a graph; `faults` are the graph's. Returns its version's folder."""
    graph = sum_graph(kind, **faults)
    return write_bundle(repository, sum_manifest(graph, kind, name=name, version=version), graph)


def write_variant(folder: Path, graph: bytes, **changes: Any) -> None:
    """Give a bundle such a graph as its int8 variant; `changes` are the variant's fields."""
    variant: dict[str, Any] = {
        "file": VARIANT_FILE,
        "sha256": hashlib.sha256(graph).hexdigest(),
        "graph_bytes": len(graph),
        "test_accuracy": 0.5,
        "agreement": 1.0,
        "max_abs_error": 0.01,
        "company_error": 0.0,
        "tolerance": 0.01,
        "speed": {"relative": 1.5, "batch_size": 8, "steps": 16, "cpu": "a CPU"},
    }
    (folder / VARIANT_FILE).write_bytes(graph)
    document = json.loads((folder / MANIFEST_FILE).read_text())
    document["variants"] = {"int8": variant | changes}
    (folder / MANIFEST_FILE).write_text(json.dumps(document))


def expected_sums(sequence: NDArray[np.float32]) -> list[float]:
    """The logits that the graph owes this sequence of small integers."""
    return [float(total) for total in sequence.sum(axis=0)]
