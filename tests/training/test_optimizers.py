"""Which optimizer learns which weights, and how fast."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn
from torch.optim import AdamW, Muon

from models import FAMILIES
from tests.training.made import RECIPE, make_run
from training.data.texts.characters import text_set
from training.fit.optimizers import make_optimizers, warmup_cosine
from training.task import Run
from training.tasks import TASKS
from training.tasks.generation.task import GenerationTask

TEXTS = text_set("made", "abc " * 50, "abc", licence="none", split="made")
WITH_MUON = dataclasses.replace(RECIPE, muon_learning_rate=0.5)


def names(model: nn.Module, optimizer: torch.optim.Optimizer) -> set[str]:
    known = {id(value): name for name, value in model.named_parameters()}
    found = [known[id(value)] for group in optimizer.param_groups for value in group["params"]]
    assert len(found) == len(set(found))
    return set(found)


def model_of(family: str) -> nn.Module:
    run: Run = make_run(family)
    model: nn.Module = TASKS[run.task].rebuild(run.architecture)
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_is_learnt_by_one_optimizer(family: str) -> None:
    model = model_of(family)
    (alone,) = make_optimizers(model, RECIPE)
    muon, adamw = make_optimizers(model, WITH_MUON)
    learnt = {name for name, value in model.named_parameters() if value.requires_grad}
    assert names(model, alone) == learnt
    assert isinstance(muon, Muon)
    assert isinstance(adamw, AdamW)
    assert names(model, muon) | names(model, adamw) == learnt
    assert not names(model, muon) & names(model, adamw)
    assert {group["lr"] for group in muon.param_groups} == {0.5}
    assert {group["lr"] for group in adamw.param_groups} == {RECIPE.learning_rate}


def test_muon_learns_the_matrices_between_layers_alone() -> None:
    sizes = GenerationTask().default_architecture("transformer", TEXTS, num_layers=1)
    model: nn.Module = GenerationTask().rebuild(sizes)
    muon = make_optimizers(model, WITH_MUON)[0]
    assert names(model, muon) == {
        f"layers.0.{name}.weight"
        for name in ("attention.query_key_value", "attention.output", "inner", "outer")
    }
    model = model_of("lstm")
    muon = make_optimizers(model, WITH_MUON)[0]
    assert names(model, muon) == {
        f"encoder.layers.{depth}.weight_{kind}_l0" for depth in (0, 1) for kind in ("ih", "hh")
    }


def test_what_has_no_layers_has_nothing_for_muon() -> None:
    with pytest.raises(
        ValueError, match="muon_learning_rate: the model has no matrices in stacked"
    ):
        make_optimizers(nn.Linear(2, 3), WITH_MUON)


def test_another_precision_is_refused() -> None:
    with pytest.raises(ValueError, match="mixed_precision: there is bf16, not 'fp8'"):
        dataclasses.replace(RECIPE, mixed_precision="fp8")  # type: ignore[arg-type]


def test_the_schedule_rises_in_a_line_and_falls_to_nothing() -> None:
    shares = [warmup_cosine(step, RECIPE) for step in range(RECIPE.steps + 1)]
    assert shares[:6] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    assert shares[5:] == sorted(shares[5:], reverse=True)
    assert shares[33] == pytest.approx(0.5)
    assert shares[-1] == 0
