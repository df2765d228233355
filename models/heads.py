"""The heads: from encodings to logits.

`LastState` and `Mean` carry what they need from chunk to chunk, so that a recurrent model with
one of them runs in cells; attention needs every step at once.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from models.sequence import Encoding, Prediction, State, step_mask

Score = Literal["additive", "dot"]


class LastState(nn.Module):
    """logits = W_hy h(T) + b_y, from the state at each sequence's true end T."""

    def __init__(self, width: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width, num_classes)

    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """None of its own."""
        return {}

    def forward(self, encoding: Encoding, lengths: Tensor, state: State) -> Prediction:
        """Logits (batch, classes)."""
        logits = self.output(self.dropout(encoding.last))
        return Prediction(logits, encoding.state, encoding.weights)


class PerStep(nn.Module):
    """logits(t) = W_hy h(t) + b_y at every step: Elman's y(t) before g."""

    def __init__(self, width: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width, num_classes)

    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """None of its own."""
        return {}

    def forward(self, encoding: Encoding, lengths: Tensor, state: State) -> Prediction:
        """Logits (batch, time, classes), zero past each length."""
        logits = self.output(self.dropout(encoding.outputs))  # (batch, time, classes)
        mask = step_mask(lengths, encoding.outputs.shape[1]).unsqueeze(2)
        return Prediction(logits * mask.to(logits.dtype), encoding.state, encoding.weights)


class Mean(nn.Module):
    """logits = W (1/T sum_t h(t)) + b; the running sum and count are its state."""

    def __init__(self, width: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.width = width
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width, num_classes)

    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """`total` (width,) and `count` (1,): what the mean of all steps so far needs."""
        return {"total": (self.width,), "count": (1,)}

    def forward(self, encoding: Encoding, lengths: Tensor, state: State) -> Prediction:
        """Logits (batch, classes) of the mean over every step so far."""
        total = encoding.outputs.sum(dim=1)  # (batch, width); zero past each length
        count = lengths.unsqueeze(1).to(total.dtype)  # (batch, 1)
        if "count" in state:  # absent where the encoder itself can't go in chunks
            total, count = total + state["total"], count + state["count"]
        logits = self.output(self.dropout(total / count))
        carried = {"total": total, "count": count} if "count" in state else {}
        return Prediction(logits, {**encoding.state, **carried}, encoding.weights)


class AttentionPooling(nn.Module):
    """A weighted sum of *all* encodings h(t), asked for by the last one, s = h(T).

    Additive scores (Bahdanau et al., ICLR 2015):    e(t) = v . tanh(W_q s + W_k h(t) + b)
    Scaled dot-product (Vaswani et al., NIPS 2017):  e(t) = (W_q s) . (W_k h(t)) / sqrt(width)

    weights(t) = softmax over the real steps of e(t);  context = sum_t weights(t) h(t);
    logits = W [context, s] + b.
    """

    def __init__(
        self, width: int, num_classes: int, score: Score = "additive", dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.score = score
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.combine = nn.Parameter(torch.randn(width) / math.sqrt(width))  # v; additive only
        if score == "dot":
            self.combine.requires_grad_(False)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(2 * width, num_classes)

    def state_shapes(self) -> None:
        """It must see whole sequences."""

    def forward(self, encoding: Encoding, lengths: Tensor, state: State) -> Prediction:
        """Logits (batch, classes) and weights (batch, time)."""
        query = self.query(encoding.last).unsqueeze(1)  # (batch, 1, width)
        keys = self.key(encoding.outputs)  # (batch, time, width)
        if self.score == "additive":
            scores = torch.matmul(torch.tanh(query + keys), self.combine)  # (batch, time)
        else:
            scores = (query * keys).sum(dim=2) / math.sqrt(keys.shape[2])
        mask = step_mask(lengths, encoding.outputs.shape[1])
        weights = torch.softmax(scores.masked_fill(~mask, -torch.inf), dim=1)
        context = torch.matmul(weights.unsqueeze(1), encoding.outputs).squeeze(1)  # (batch, width)
        logits = self.output(self.dropout(torch.cat([context, encoding.last], dim=1)))
        return Prediction(logits, {}, weights)
