"""A family learns a problem until it has it, or its time is over."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import torch
from torch.nn.utils import clip_grad_norm_

from models import SequenceModel, architecture_of, build
from training.long_range.problems import Problem

BATCH_SIZE = 50
EVALUATE_EVERY = 100
NUM_TEST = 1_000
TEST_SEED = 12_345
CLIP_NORM = 1.0


@dataclasses.dataclass(frozen=True)
class Learnt:
    """What came of it."""

    family: str
    problem: str
    num_steps: int
    loss: float
    """On a thousand examples never seen, the least of all looks."""
    steps: int
    cpu_s: float
    is_solved: bool
    history: list[tuple[int, float]]
    """Step and test loss."""


def new_model(family: str, problem: Problem, hidden_size: int, seed: int) -> SequenceModel:
    """One layer of the family, with random weights."""
    torch.manual_seed(seed)
    sizes: dict[str, Any] = {"num_layers": 1, "hidden_size": hidden_size, "dropout": 0.0}
    if family != "attention":
        sizes["head"] = "last"
    sizes |= problem.architecture()
    num_features, num_classes = sizes.pop("num_features"), sizes.pop("num_classes")
    return build(architecture_of(family, num_features, num_classes, **sizes))


def learn(
    family: str,
    problem: Problem,
    budget_s: float,
    hidden_size: int = 64,
    learning_rate: float = 2e-3,
    seed: int = 0,
) -> tuple[SequenceModel, Learnt]:
    """Train on new examples at every step, by Adam.

    Args:
        family: Of `models.FAMILIES`.
        problem: To learn.
        budget_s: CPU seconds, at most.
        hidden_size: Of its one layer.
        learning_rate: Constant.
        seed: Of weights and examples.
    """
    model = new_model(family, problem, hidden_size, seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    random = torch.Generator().manual_seed(seed)
    started_s, step, best = time.process_time(), 0, float("inf")
    history: list[tuple[int, float]] = []
    while time.process_time() - started_s < budget_s and best > problem.solved:
        inputs, targets = problem.batch(BATCH_SIZE, random)
        loss = problem.loss(model(inputs, _lengths(inputs)).logits, targets)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        step += 1
        if step % EVALUATE_EVERY == 0:
            history.append((step, evaluate(model, problem)))
            best = min(best, history[-1][1])
    if not history:
        history.append((step, evaluate(model, problem)))
        best = history[-1][1]
    cpu_s = time.process_time() - started_s
    return model, Learnt(
        family, problem.name, problem.num_steps, best, step, cpu_s, best <= problem.solved, history
    )


@torch.no_grad()
def evaluate(model: SequenceModel, problem: Problem) -> float:
    """The loss on examples that are the same every time and never trained on."""
    inputs, targets = problem.batch(NUM_TEST, torch.Generator().manual_seed(TEST_SEED))
    return float(problem.loss(model(inputs, _lengths(inputs)).logits, targets))


def _lengths(inputs: torch.Tensor) -> torch.Tensor:
    return torch.full((len(inputs),), inputs.shape[1])
