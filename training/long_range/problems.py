"""Two problems whose answer lies far back.

The adding problem (Hochreiter & Schmidhuber, Neural Computation 9, 1997; in the form of Bai, Kolter
& Koltun, 2018): each step has a number from 0 to 1 and a mark; two steps are marked, one in each
half; the answer is the sum of their numbers. To answer 1 always has a mean squared error of 1/6.

Copy memory (Hochreiter & Schmidhuber 1997; as Bai et al.): ten symbols of eight, a long silence, a
signal, and then the ten are to be repeated. To guess has a cross-entropy of 10 ln(8) / (T + 20).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

NUM_COPIED, NUM_SYMBOLS = 10, 8
BLANK, SIGNAL = NUM_SYMBOLS, NUM_SYMBOLS + 1


class Problem(ABC):
    """One of them, at one length.

    Args:
        num_steps: T, how long the way is.
    """

    name: ClassVar[str]
    loss_name: ClassVar[str]

    def __init__(self, num_steps: int) -> None:
        self.num_steps = num_steps

    @abstractmethod
    def architecture(self) -> dict[str, Any]:
        """What of an architecture the problem decides."""

    @abstractmethod
    def batch(self, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """New examples: inputs (batch, time, ...) and targets."""

    @abstractmethod
    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean loss, as Bai et al. report it."""

    @property
    @abstractmethod
    def chance(self) -> float:
        """The loss of the best answer that does not look at the inputs."""

    @property
    @abstractmethod
    def solved(self) -> float:
        """The loss from which on it counts as learnt."""


class Adding(Problem):
    """T steps of two features, one number to answer."""

    name = "adding"
    loss_name = "mean squared error"

    def architecture(self) -> dict[str, Any]:
        """One value, from the last state or by attention."""
        return {"num_features": 2, "num_classes": 1}

    def batch(self, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Inputs (batch, T, 2), targets (batch, 1)."""
        numbers = torch.rand(count, self.num_steps, generator=random)
        half, rows = self.num_steps // 2, torch.arange(count)
        first = torch.randint(half, (count,), generator=random)
        second = torch.randint(half, self.num_steps, (count,), generator=random)
        marks = torch.zeros(count, self.num_steps)
        marks[rows, first] = marks[rows, second] = 1.0
        targets = numbers[rows, first] + numbers[rows, second]
        return torch.stack([numbers, marks], dim=2), targets.unsqueeze(1)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error."""
        return functional.mse_loss(logits, targets)

    @property
    def chance(self) -> float:
        """The variance of a sum of two."""
        return 1 / 6

    @property
    def solved(self) -> float:
        """A hundredth of what chance has, and less."""
        return 1e-3


class CopyMemory(Problem):
    """Ten symbols, T - 1 blanks, the signal and ten steps to answer in: T + 20 steps."""

    name = "copy memory"
    loss_name = "cross-entropy"

    def architecture(self) -> dict[str, Any]:
        """A symbol or a blank at every step."""
        return {
            "num_features": 0,
            "num_tokens": NUM_SYMBOLS + 2,
            "embedding_size": NUM_SYMBOLS + 2,
            "num_classes": NUM_SYMBOLS + 1,
            "head": "per_step",
        }

    def batch(self, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Inputs and targets, ids (batch, T + 20)."""
        symbols = torch.randint(NUM_SYMBOLS, (count, NUM_COPIED), generator=random)
        silence = torch.full((count, self.num_steps - 1), BLANK)
        signal = torch.full((count, 1), SIGNAL)
        ending = torch.full((count, NUM_COPIED), BLANK)
        inputs = torch.cat([symbols, silence, signal, ending], dim=1)
        blanks = torch.full((count, self.num_steps + NUM_COPIED), BLANK)
        return inputs, torch.cat([blanks, symbols], dim=1)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy of all steps."""
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())

    @property
    def chance(self) -> float:
        """Of guessing the ten."""
        return NUM_COPIED * math.log(NUM_SYMBOLS) / (self.num_steps + 2 * NUM_COPIED)

    @property
    def solved(self) -> float:
        """A hundredth of what chance has."""
        return self.chance / 100


PROBLEMS: dict[str, type[Problem]] = {"adding": Adding, "copy": CopyMemory}
