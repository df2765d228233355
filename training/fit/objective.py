"""What a task asks of a model while it trains: what to learn from, the loss, and how good it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from training.data.batches import Row


class Validation(NamedTuple):
    """How good a model is on the validation part."""

    score: float
    """The higher, the better: it decides which weights are kept, and when to stop."""
    loss: float
    """Where scores are equal, the lower is the better."""


class Objective(ABC):
    """One data set's training and validation parts, as a trainer uses them."""

    @property
    @abstractmethod
    def lengths(self) -> Sequence[int]:
        """Of each training item; those of like lengths share batches."""

    @abstractmethod
    def example(self, row: Row) -> Any:
        """A training item, augmented if it is, by the row's own seed."""

    @abstractmethod
    def collate(self, examples: list[Any]) -> tuple[Tensor, ...]:
        """A batch of such items; axis 0 of each tensor is the batch, which processes share out."""

    @abstractmethod
    def learn(
        self, model: nn.Module, batch: tuple[Tensor, ...], backward: Callable[[Tensor], None]
    ) -> float:
        """Add the gradients of a batch to the model's, and give its loss.

        Args:
            model: In training mode, perhaps wrapped to share gradients between processes.
            batch: As `collate` made it.
            backward: To be given each loss that has gradients to send back.
        """

    @abstractmethod
    def validate(self, model: nn.Module) -> Validation:
        """Score the model, which is left in the mode it was in."""
