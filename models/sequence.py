"""What every family shares: read the steps, encode them, answer."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

State = dict[str, Tensor]
"""Recurrent state by name; each tensor (batch, *shape), so that a scheduler treats all alike."""


class Encoding(NamedTuple):
    """What an encoder gives its head."""

    outputs: Tensor  # (batch, time, width), zero past each length
    last: Tensor  # (batch, width), the summary at each sequence's true end
    state: State  # empty if the encoder carries none
    weights: Tensor | None  # (batch, time), attention each step received; rows sum to 1


class Prediction(NamedTuple):
    """What a model answers."""

    logits: Tensor  # (batch, classes), or (batch, time, classes) from a per-step head
    state: State  # to go on from; empty if the model carries none
    weights: Tensor | None  # (batch, time), attention per step; rows sum to 1


class Encoder(Protocol):
    """A module that reads a ragged batch; `width` is its outputs' last axis."""

    width: int

    def state_shapes(self) -> dict[str, tuple[int, ...]] | None:
        """Shapes without the batch axis; None if it must see whole sequences."""

    def __call__(self, inputs: Tensor, lengths: Tensor, state: State) -> Encoding:
        """Encode (batch, time, features)."""


class Head(Protocol):
    """A module that answers from an encoding."""

    def state_shapes(self) -> dict[str, tuple[int, ...]] | None:
        """Shapes without the batch axis; None if it must see whole sequences."""

    def __call__(self, encoding: Encoding, lengths: Tensor, state: State) -> Prediction:
        """Answer with logits."""


def step_mask(lengths: Tensor, num_steps: int) -> Tensor:
    """True at real steps: bool (batch, time) from lengths (batch,)."""
    return torch.arange(num_steps, device=lengths.device) < lengths.unsqueeze(1)


def last_step(outputs: Tensor, lengths: Tensor) -> Tensor:
    """The output (batch, width) at each sequence's last real step, of (batch, time, width)."""
    index = (lengths - 1).reshape(-1, 1, 1).expand(-1, 1, outputs.shape[2])
    return outputs.gather(1, index).squeeze(1)


class SequenceModel(nn.Module):
    """A model of any family: one signature, with state where the family can carry it.

    Args:
        front: From steps as they come to (batch, time, input_size).
        encoder: From there to (batch, time, width).
        head: From encodings to logits.
    """

    def __init__(self, front: nn.Module, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.front: Any = front
        self.encoder = encoder
        self.head = head

    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each state tensor without the batch axis; empty if it reads whole sequences."""
        encoder, head = self.encoder.state_shapes(), self.head.state_shapes()  # type: ignore[operator]
        return {} if encoder is None or head is None else {**encoder, **head}

    def initial_state(self, batch_size: int) -> State:
        """Zeros of every state tensor, (batch, *shape)."""
        like = next(self.parameters())
        return {
            name: torch.zeros(batch_size, *shape, dtype=like.dtype, device=like.device)
            for name, shape in self.state_shapes().items()
        }

    def forward(self, inputs: Tensor, lengths: Tensor, state: State | None = None) -> Prediction:
        """Answer a ragged batch; what lies past a length never matters.

        Args:
            inputs: (batch, time, features), in the user's units; or ids int64 (batch, time, ...).
            lengths: int64 (batch,), 1 to time.
            state: As an earlier call returned it, to go on with the same sequences; the start
                if None.
        Returns:
            Logits, the state after each sequence's last step, and attention weights if the family
            has any.
        """
        if state is None:
            state = self.initial_state(inputs.shape[0])
        # rubbish in the padding, NaN included, must not reach a sum
        mask = step_mask(lengths, inputs.shape[1]).unsqueeze(2)
        read = self.front(inputs)  # (batch, time, input_size)
        clean = torch.where(mask, read, torch.zeros_like(read))
        encoding: Encoding = self.encoder(clean, lengths, state)
        prediction: Prediction = self.head(encoding, lengths, state)
        return prediction
