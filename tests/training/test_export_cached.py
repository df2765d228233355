"""A causal Transformer's graph: every gate passes, and closes on the fault it is there for."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from models.decoders.causal import CausalTransformer
from service.manifest import read_manifest
from service.tasks.generation.settings import Cache, GenerationSettings
from tests.training.test_text import TASK, make_run
from training.card import Card, load_run, save_run
from training.export.bundle import export_run
from training.export.cached import CachedCandidate, cached_signature, check_cache
from training.export.lint import ExportError
from training.export.verify import check_padding
from training.run import _card
from training.settings import settings_of


@dataclasses.dataclass(frozen=True)
class Exported:
    """A run with random weights, and its bundle."""

    card: Card
    model: CausalTransformer
    folder: Path

    def candidate(self, graph: bytes | None = None) -> CachedCandidate:
        graph = graph or (self.folder / "model.onnx").read_bytes()
        return CachedCandidate(
            graph, cached_signature(self.card, self.model), self.model, self.card
        )


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("cached")
    run, data = make_run("transformer")
    model, objective = TASK.begin(run, data)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    metrics = {
        **TASK.measure(model.eval(), data, objective),
        **TASK.baselines(data),
        "seeds": {"0": 1.0},
    }
    contract = TASK.contract(run, data, objective, model, metrics)
    card = _card(run, data, contract, settings_of(run, data))
    save_run(folder / "run", card, {}, model)
    (folder / "run/metrics.json").write_text(json.dumps(metrics))
    bundle = export_run(folder / "run", folder / "repository")
    loaded = load_run(folder / "run")[1]
    return Exported(card, loaded, bundle)


def test_the_bundle_says_how_it_decodes(exported: Exported) -> None:
    manifest = read_manifest(exported.folder)
    assert manifest.batching == "decoding"
    assert isinstance(manifest.settings, GenerationSettings)
    assert manifest.settings.cache == Cache(width=2 * 2 * 8 + 2, window=6)
    assert len(manifest.parity) > 10
    check_cache(exported.candidate())


def test_a_window_shorter_than_the_models_is_found(exported: Exported) -> None:
    candidate = exported.candidate()
    short = CausalTransformer(**{**_sizes(exported), "window": 4})
    short.load_state_dict(exported.model.state_dict())
    candidate.model = short.eval()
    with pytest.raises(ExportError, match="cache: logits differs"):
        check_cache(candidate)


@pytest.mark.parametrize("name", ["cache", "cache_lengths", "lengths"])
def test_a_graph_that_reads_nothing_of_an_input_is_found(exported: Exported, name: str) -> None:
    graph = onnx.load(exported.folder / "model.onnx")
    given: dict[str, NDArray[Any]] = {
        "cache": np.zeros((1, 1, 34), np.float32),
        "cache_lengths": np.zeros(1, np.int64),
        "lengths": np.ones(1, np.int64),
    }
    constant = numpy_helper.from_array(given[name], "constant")
    graph.graph.initializer.append(constant)
    for node in graph.graph.node:
        if node.op_type != "Shape":
            for place, source in enumerate(node.input):
                if source == name:
                    node.input[place] = "constant"
    with pytest.raises(ExportError):
        check(exported.candidate(graph.SerializeToString()))


def check(candidate: CachedCandidate) -> None:
    check_padding(candidate)
    check_cache(candidate)


def _sizes(exported: Exported) -> dict[str, int]:
    return {name: size for name, size in exported.card.architecture.items() if name != "family"}
