"""The problems are what they say, chance is what it says, and gradients are those of the answer."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.long_range.fit import evaluate, learn, new_model
from training.long_range.gradients import gradient_norms
from training.long_range.problems import BLANK, NUM_COPIED, SIGNAL, Adding, CopyMemory
from training.long_range.report import FAMILIES, draw_gradients, run

lengths = st.integers(2, 60)


@given(lengths, st.integers(0, 2**31))
@settings(deadline=None, max_examples=30)
def test_a_sum_is_of_the_two_marked(length: int, seed: int) -> None:
    inputs, targets = Adding(length).batch(7, torch.Generator().manual_seed(seed))
    marks = inputs[:, :, 1]
    assert ((marks == 0) | (marks == 1)).all()
    assert (marks[:, : length // 2].sum(dim=1) == 1).all()
    assert (marks[:, length // 2 :].sum(dim=1) == 1).all()
    assert torch.allclose((inputs[:, :, 0] * marks).sum(dim=1, keepdim=True), targets)


@given(lengths, st.integers(0, 2**31))
@settings(deadline=None, max_examples=30)
def test_what_comes_first_is_to_be_said_last(length: int, seed: int) -> None:
    inputs, targets = CopyMemory(length).batch(5, torch.Generator().manual_seed(seed))
    assert inputs.shape == targets.shape == (5, length + 2 * NUM_COPIED)
    assert (inputs[:, :NUM_COPIED] == targets[:, -NUM_COPIED:]).all()
    assert (inputs[:, :NUM_COPIED] < BLANK).all()
    assert (inputs[:, -NUM_COPIED - 1] == SIGNAL).all()
    assert (inputs == SIGNAL).sum() == 5
    assert (targets[:, :-NUM_COPIED] == BLANK).all()


def test_chance_is_what_answers_without_looking_reach() -> None:
    problem = Adding(40)
    _, targets = problem.batch(20_000, torch.Generator().manual_seed(0))
    assert float(problem.loss(torch.ones_like(targets), targets)) == pytest.approx(
        problem.chance, rel=0.05
    )
    copy = CopyMemory(40)
    _, targets = copy.batch(50, torch.Generator().manual_seed(0))
    logits = torch.full((*targets.shape, BLANK + 1), -math.inf)
    logits[:, :-NUM_COPIED, BLANK] = 0.0
    logits[:, -NUM_COPIED:, :BLANK] = 0.0
    assert float(copy.loss(logits, targets)) == pytest.approx(copy.chance, rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES["adding"])
def test_gradients_are_those_of_differences(family: str) -> None:
    problem = Adding(6)
    model = new_model(family, problem, hidden_size=4, seed=0).double()
    norms = gradient_norms(model, problem)
    inputs, _ = problem.batch(64, torch.Generator().manual_seed(0))
    inputs, lengths = inputs.double(), torch.full((64,), 6)
    wanted = []
    for step in range(6):
        slopes = []
        for feature in range(2):
            moved = inputs.clone()
            moved[:, step, feature] += 1e-6
            with torch.no_grad():
                difference = model(moved, lengths).logits - model(inputs, lengths).logits
            slopes.append(difference[:, 0] / 1e-6)
        wanted.append(float(torch.stack(slopes).norm(dim=0).mean()))
    assert norms == pytest.approx(wanted[::-1], rel=1e-3, abs=1e-8)


def test_a_short_way_is_learnt() -> None:
    problem = Adding(4)
    model, learnt = learn("gru", problem, budget_s=2.0, hidden_size=32, learning_rate=1e-2)
    assert learnt.loss < problem.chance / 4
    assert min(loss for _, loss in learnt.history) == learnt.loss
    assert evaluate(model, problem) < problem.chance / 2


def test_what_was_learnt_is_written_once_a_question(tmp_path: Path) -> None:
    for _ in range(2):
        run("adding", [3], 0.0, tmp_path)
    results = json.loads((tmp_path / "long_range.json").read_text())["results"]
    assert [it["family"] for it in results] == list(FAMILIES["adding"])
    assert all(len(it["gradient_norms"]["new"]) == 3 for it in results)
    assert np.isfinite([it["loss"] for it in results]).all()
    draw_gradients(tmp_path / "long_range.json", 3, tmp_path / "flow.png")
    assert (tmp_path / "flow.png").stat().st_size > 5_000
