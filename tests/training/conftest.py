"""Every family exported once a session: an export takes seconds."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import onnx
import pytest
import torch
from filelock import FileLock

from models import SequenceModel, architecture_of, build
from service.manifest import Inputs, Limits, Outputs, Profile, Provenance, Quality
from training.card import Card, load_run, save_run
from training.export.bundle import export_run
from training.export.graph import Signature, signature_of

torch.set_num_threads(1)  # these matrices are too small to share, and two processes test
FEATURES = ["x", "y", "z"]


@dataclasses.dataclass(frozen=True)
class Exported:
    """A run with random weights, and its bundle."""

    run_folder: Path
    folder: Path
    card: Card
    model: SequenceModel
    signature: Signature

    def graph(self) -> onnx.ModelProto:
        """A copy of the graph, to be spoilt."""
        return onnx.load(self.folder / "model.onnx")


def make_run(folder: Path, family: str) -> tuple[Card, SequenceModel]:
    """Write a run of small sizes."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_layers": 1 if family == "hybrid" else 2}
    architecture = architecture_of(family, len(FEATURES), 4, **sizes)
    model = build(architecture).eval()
    card = Card(
        name=f"toy-{family}",
        architecture=dataclasses.asdict(architecture),
        inputs=Inputs(features=FEATURES),
        outputs=Outputs(labels=["a", "b", "c", "d"]),
        limits=Limits(max_length=60),
        quality=Quality(test_accuracy=0.25, test_sequences=4, baseline_accuracy=0.25),
        profile=Profile(
            length_quantiles={"0.5": 9.0},
            feature_means=[0.5, -0.5, 0.0],
            feature_deviations=[1.0, 2.0, 0.5],
        ),
        provenance=Provenance(
            dataset="toy",
            data_licence="none",
            split="none",
            seed=0,
            hyperparameters={},
            libraries={},
            created_utc="2026-01-01T00:00:00Z",
        ),
    )
    save_run(folder, card, {}, model)
    return card, model


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """The bundle of a family, exported when it is first asked for; nobody may change it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # once for all processes that test
        base = base.parent

    @cache
    def export(family: str) -> Exported:
        folder = base / f"exported-{family}"
        bundle = folder / "repository" / f"toy-{family}" / "1"
        with FileLock(base / f"exported-{family}.lock"):
            if not bundle.exists():
                make_run(folder / "run", family)
                (folder / "run" / "metrics.json").write_text('{"test_accuracy": 0.25}\n')
                export_run(folder / "run", folder / "repository")
        card, model = load_run(folder / "run")
        return Exported(folder / "run", bundle, card, model, signature_of(card, model))

    return export
