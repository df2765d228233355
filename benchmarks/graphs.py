"""The graphs that the comparison serves: the families at the peers' published size, random weights.

The arithmetic of a network does not depend on what it learned, so nothing is trained here; each is
a full bundle, through every gate of the export.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from models import architecture_of, build
from service.manifest import Inputs, Limits, Profile, Provenance, Quality
from training.card import Card, architecture_fields, save_run
from training.export.bundle import export_run

NUM_FEATURES, NUM_CLASSES = 16, 10
MAX_LENGTH = 512

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
        architecture=architecture_fields(wanted),
        inputs=Inputs(features=[f"feature-{index}" for index in range(NUM_FEATURES)]),
        labels=[f"class-{index}" for index in range(NUM_CLASSES)],
        limits=Limits(max_length=MAX_LENGTH),
        audio=None,
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
        save_run(Path(folder), card, model)
        return export_run(Path(folder), repository, replace=True)


def make_repository(repository: Path) -> Path:
    """All of `ARCHITECTURES` as bundles under `repository`, which is returned."""
    for name, architecture in ARCHITECTURES.items():
        make_bundle(repository, name, **architecture)
    return repository
