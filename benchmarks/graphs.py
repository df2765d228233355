"""The graphs that the comparison serves: the families at the peers' published size, random weights.

The arithmetic of a network does not depend on what it learned, so nothing is trained here; each is
a full bundle, through every gate of the export. Each has an int8 variant if it can, through every
gate but two: random weights have no score, and the speed is what the comparison finds out.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from onnx import TensorProto, helper

from models import architecture_of, build
from service.manifest import (
    GRAPH_FILE,
    MANIFEST_FILE,
    Inputs,
    Limits,
    Outputs,
    Profile,
    Provenance,
    Quality,
)
from training.card import Card, save_run
from training.export.bundle import export_run
from training.export.variant import Evidence, add_variant

NUM_FEATURES, NUM_CLASSES = 16, 10
MAX_LENGTH = 512
NUM_SEQUENCES = 64
"""To calibrate an int8 variant with, and as many again to judge it by."""

ARCHITECTURES: dict[str, dict[str, object]] = {
    "lstm": {"family": "lstm", "hidden_size": 128, "num_layers": 2, "head": "last"},
    "bigru": {
        "family": "birnn",
        "cell": "gru",
        "hidden_size": 96,
        "num_layers": 1,
        "head": "attention",
    },
    "transformer": {"family": "transformer", "hidden_size": 64, "num_heads": 4, "num_layers": 2},
}


def make_bundle(repository: Path, name: str, **architecture: object) -> Path:
    """Export `architecture` with random weights to `repository/<name>/1`; its folder."""
    family = str(architecture.pop("family"))
    wanted = architecture_of(family, NUM_FEATURES, NUM_CLASSES, **architecture)
    torch.manual_seed(0)
    model = build(wanted).eval()
    card = Card(
        name=name,
        architecture=dataclasses.asdict(wanted),
        inputs=Inputs(features=[f"feature-{index}" for index in range(NUM_FEATURES)]),
        outputs=Outputs(labels=[f"class-{index}" for index in range(NUM_CLASSES)]),
        limits=Limits(max_length=MAX_LENGTH),
        quality=Quality(test_accuracy=0.1, test_sequences=1, baseline_accuracy=0.1),
        profile=Profile(
            length_quantiles={"0.5": 40.0, "0.95": 130.0},
            feature_means=[0.0] * NUM_FEATURES,
            feature_deviations=[1.0] * NUM_FEATURES,
        ),
        provenance=Provenance(
            dataset="none: random weights",
            data_licence="none",
            split="none",
            seed=0,
            hyperparameters={},
            libraries={"torch": torch.__version__},
            created_utc="2026-01-01T00:00:00Z",
        ),
    )
    with tempfile.TemporaryDirectory() as folder:
        save_run(Path(folder), card, {}, model)
        bundle = export_run(Path(folder), repository, replace=True)
    add_variant(bundle, make_evidence(), min_speed=0.0)
    return bundle


def make_evidence() -> Evidence:
    """Sequences as the comparison sends them: normal values, log-normal lengths."""
    random = np.random.default_rng(0)
    lengths = random.lognormal(np.log(40), 0.7, 2 * NUM_SEQUENCES).clip(8, 256).astype(int)
    sequences = [
        random.standard_normal((length, NUM_FEATURES)).astype(np.float32) for length in lengths
    ]
    return Evidence(sequences[:NUM_SEQUENCES], sequences[NUM_SEQUENCES:], targets=None)


def make_repository(repository: Path) -> Path:
    """All of `ARCHITECTURES` as bundles under `repository`, which is returned."""
    for name, architecture in ARCHITECTURES.items():
        make_bundle(repository, name, **architecture)
    return repository


def make_nothing(repository: Path, like: str = "transformer") -> Path:
    """A graph that only looks at a sequence's first step: what is left is the transport.

    Args:
        repository: Where the bundle goes, and holds the one whose manifest it takes.
        like: That one's name.
    """
    inputs = helper.make_tensor_value_info(
        "inputs", TensorProto.FLOAT, ["batch", "time", NUM_FEATURES]
    )
    lengths = helper.make_tensor_value_info("lengths", TensorProto.INT64, ["batch"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", NUM_CLASSES])
    constants = [
        helper.make_tensor("first", TensorProto.INT64, [], [0]),
        helper.make_tensor("start", TensorProto.INT64, [1], [0]),
        helper.make_tensor("stop", TensorProto.INT64, [1], [NUM_CLASSES]),
        helper.make_tensor("features", TensorProto.INT64, [1], [1]),
    ]
    nodes = [
        helper.make_node("Gather", ["inputs", "first"], ["step"], axis=1),
        helper.make_node("Slice", ["step", "start", "stop", "features"], ["logits"]),
    ]
    graph = helper.make_graph(nodes, "nothing", [inputs, lengths], [logits], constants)
    opsets = [helper.make_opsetid("", 20)]
    content = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    manifest = json.loads((repository / like / "1" / MANIFEST_FILE).read_bytes())
    manifest |= {
        "name": "nothing",
        "family": "nothing",
        "outputs": manifest["outputs"] | {"weights": None},
        "sha256": hashlib.sha256(content).hexdigest(),
        "graph_bytes": len(content),
        "parity": [],
        "variants": {},
        "refused_variants": {},
    }
    folder = repository / "nothing" / "1"
    folder.mkdir(parents=True)
    (folder / GRAPH_FILE).write_bytes(content)
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    return folder
