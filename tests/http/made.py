"""Bundles made for tests: a graph that fails, overflows or takes its time as the input asks."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.servers import bundles_folder

FINE, OVERFLOWS, FAILS = 1.0, 3.0, 9.0
"""First feature of a step: an answer, one that is not finite, or a failing run."""

TABLE = np.array([[0, 0], [1, 0], [2, 0], [np.nan, 0]], dtype=np.float32)
SIDE = 96  # of the square matrix that a unit of work multiplies


def copy_bundle(name: str, repository: Path) -> Path:
    """A copy of one of the served bundles; its folder."""
    return Path(shutil.copytree(bundles_folder() / name / "1", repository / name / "1"))


def change_manifest(folder: Path, **changes: Any) -> None:
    document = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**document, **changes}))


def make_bundle(
    repository: Path, name: str = "made", batching: Literal["cells", "sequences"] = "sequences"
) -> Path:
    """A model of two features: what comes of a sequence, and how many units of work it is."""
    graph = _graph(batching == "cells").SerializeToString()
    folder = copy_bundle("digits-lstm", repository.parent / "template").parent
    document = json.loads((folder / "1" / "model.json").read_text())
    shutil.rmtree(folder)
    document |= {
        "name": name,
        "family": "made",
        "batching": batching,
        "inputs": {"features": ["kind", "work"]},
        "outputs": {"labels": ["yes", "no"], "weights": None},
        "state": [{"input": "held", "output": "held_out", "shape": [1]}] * (batching == "cells"),
        "audio": None,
        "sha256": hashlib.sha256(graph).hexdigest(),
        "graph_bytes": len(graph),
        "parity": [],
        "variants": {},
        "refused_variants": {},
        "profile": {
            "length_quantiles": {"0.5": 3.0},
            "feature_means": [0.0, 0.0],
            "feature_deviations": [0.0, 0.0],
        },
    }
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(graph)
    (folder / "model.json").write_text(json.dumps(document))
    return folder


def steps(kind: float = FINE, work: float = 0.0, length: int = 1) -> list[list[float]]:
    """A sequence for a made model; the work is that of its first run's largest row."""
    return [[kind, work]] * length


def _graph(stateful: bool) -> onnx.ModelProto:
    """logits = TABLE[kind of the first step], after `work` products of matrices."""
    one = helper.make_tensor_value_info
    constants: dict[str, NDArray[Any]] = {
        "table": TABLE,
        "identity": np.eye(SIDE, dtype=np.float32),
        "zero": np.array(0, dtype=np.int64),
        "one": np.array(1, dtype=np.int64),
        "tiny": np.array(1e-30, dtype=np.float32),
        "true": np.array(True),
    }
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["matrix_in", "identity"], ["matrix_out"]),
            helper.make_node("Identity", ["go_on_in"], ["go_on_out"]),
        ],
        "unit_of_work",
        [
            one("turn", TensorProto.INT64, []),
            one("go_on_in", TensorProto.BOOL, []),
            one("matrix_in", TensorProto.FLOAT, [SIDE, SIDE]),
        ],
        [
            one("go_on_out", TensorProto.BOOL, []),
            one("matrix_out", TensorProto.FLOAT, [SIDE, SIDE]),
        ],
    )
    nodes = [
        helper.make_node("Gather", ["inputs", "zero"], ["first"], axis=1),
        helper.make_node("Gather", ["first", "zero"], ["kind"], axis=1),
        helper.make_node("Gather", ["first", "one"], ["work"], axis=1),
        helper.make_node("ReduceMax", ["work"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["turns"], to=TensorProto.INT64),
        helper.make_node("Loop", ["turns", "true", "identity"], ["worked"], body=body),
        helper.make_node("ReduceMax", ["worked"], ["scale"], keepdims=0),
        helper.make_node("Mul", ["scale", "tiny"], ["nothing"]),
        helper.make_node("Cast", ["kind"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "index"], ["found"], axis=0),
        helper.make_node("Add", ["found", "nothing"], ["logits"]),
    ]
    inputs = [
        one("inputs", TensorProto.FLOAT, ["batch", "time", 2]),
        one("lengths", TensorProto.INT64, ["batch"]),
    ]
    outputs = [one("logits", TensorProto.FLOAT, ["batch", 2])]
    if stateful:
        nodes.append(helper.make_node("Identity", ["held"], ["held_out"]))
        inputs.append(one("held", TensorProto.FLOAT, ["batch", 1]))
        outputs.append(one("held_out", TensorProto.FLOAT, ["batch", 1]))
    graph = helper.make_graph(
        nodes,
        "made",
        inputs,
        outputs,
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model
