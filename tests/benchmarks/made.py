"""Contestants of a few lines, and a repository whose right answer is always zero."""

from __future__ import annotations

import hashlib
import http.client
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from benchmarks.contestants.wires import NestedJson
from benchmarks.graphs import NUM_CLASSES, NUM_FEATURES
from service.manifest import GRAPH_FILE, MANIFEST_FILE
from tests.fakes import make_manifest

PROGRAM = Path(__file__).parent / "answers_zero.py"


@dataclass
class Zero:
    """A contestant whose server is `answers_zero.py`."""

    name: str = "zero"
    server: str = "zero"
    arguments: tuple[str, ...] = ()
    pausable: bool = True
    wire: Literal["json", "binary"] = "json"
    settings: str = "none"
    models: frozenset[str] = frozenset({"lstm"})
    absent: str | None = None
    starts: int = 0

    def missing(self) -> str | None:
        return self.absent

    def start(self, repository: Path, port: int) -> subprocess.Popen[bytes]:
        self.starts += 1
        command = [sys.executable, str(PROGRAM), str(port), *self.arguments]
        return subprocess.Popen(command, start_new_session=True)

    def is_ready(self, address: tuple[str, int]) -> bool:
        connection = http.client.HTTPConnection(*address, timeout=5)
        try:
            connection.request("POST", "/", b"")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def request(self, model: str, sequences: list[NDArray[np.float32]]) -> bytes:
        return NestedJson().request(model, sequences)

    def logits(self, body: bytes, headers: dict[str, str]) -> NDArray[np.float32]:
        return np.array(json.loads(body), dtype=np.float32)


def zero_repository(folder: Path) -> Path:
    """One bundle, `lstm`, whose logits are zero."""
    inputs = helper.make_tensor_value_info("inputs", TensorProto.FLOAT, ["n", "t", NUM_FEATURES])
    lengths = helper.make_tensor_value_info("lengths", TensorProto.INT64, ["n"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", NUM_CLASSES])
    zeros = helper.make_tensor("zeros", TensorProto.FLOAT, [1, NUM_CLASSES], [0.0] * NUM_CLASSES)
    one = helper.make_tensor("one", TensorProto.INT64, [1], [1])
    nodes = [
        helper.make_node("Shape", ["lengths"], ["count"]),
        helper.make_node("Concat", ["count", "one"], ["shape"], axis=0),
        helper.make_node("Expand", ["zeros", "shape"], ["logits"]),
    ]
    graph = helper.make_graph(nodes, "zero", [inputs, lengths], [logits], [zeros, one])
    opsets = [helper.make_opsetid("", 20)]
    content = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    manifest = make_manifest(
        "sequences",
        name="lstm",
        sha256=hashlib.sha256(content).hexdigest(),
        graph_bytes=len(content),
    )
    version = folder / "lstm" / "1"
    version.mkdir(parents=True)
    (version / GRAPH_FILE).write_bytes(content)
    (version / MANIFEST_FILE).write_text(manifest.model_dump_json())
    return folder
