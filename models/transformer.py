"""Self-attention encoders: the Transformer, and the hybrid of recurrence and self-attention.

Multi-head self-attention (Vaswani et al., NIPS 2017), a head with its own W_q, W_k, W_v:

    weights = softmax(Q K^T / sqrt(d) + padding mask)      Q = h W_q, K = h W_k, V = h W_v
    A(h) = concat over heads(weights V) W_o

A layer, normalised before each part (Xiong et al., ICML 2020):

    h <- h + A(norm(h));    h <- h + W_2 gelu(W_1 norm(h) + b_1) + b_2

Positions are the sinusoids of Vaswani et al., section 3.5: computed, so of any length.

All but the attention's two products runs on the real steps only, one after the other in one matrix:
padding costs nothing there (Zeng et al., "ByteTransformer", IPDPS 2023).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.recurrent import Recurrent
from models.sequence import Encoding, State, last_step, step_mask


class Packing(NamedTuple):
    """From a padded batch to its real steps, one after the other, and back."""

    steps: Tensor  # (real steps,), the place of each among batch * time
    places: Tensor  # (batch * time,), the real step of each; padding has the one before it
    # which of the vectors of one head, 3 * heads a real step, stands at each (batch, heads, time)
    query: Tensor
    key: Tensor
    value: Tensor
    bias: Tensor  # (batch, 1, time, time), to be added to scores: -inf for keys in the padding


def packing_of(mask: Tensor, num_heads: int, dtype: torch.dtype) -> Packing:
    """The packing of a batch.

    Args:
        mask: bool (batch, time), True at real steps; every sequence has one at least.
        num_heads: Heads that share a step's query, and its key and its value.
        dtype: Of the scores.
    """
    batch_size, num_steps = mask.shape
    flat = mask.reshape(-1)
    places = torch.cumsum(flat, 0) - 1
    heads = torch.arange(num_heads, device=mask.device).unsqueeze(1)
    query = places.reshape(batch_size, 1, num_steps) * (3 * num_heads) + heads
    bias = torch.where(mask, 0.0, -torch.inf).to(dtype)[:, None, None, :]
    return Packing(
        steps=torch.nonzero(flat).reshape(-1),
        places=places,
        query=query,
        key=query + num_heads,
        value=query + 2 * num_heads,
        # a row for each step that asks, though all are alike: onnxruntime adds matrices faster
        bias=bias.expand(batch_size, 1, num_steps, num_steps),
    )


def take(rows: Tensor, places: Tensor) -> Tensor:
    """`rows[places]`, (count, d) and (...) to (..., d); one Gather in ONNX, as indexing is not."""
    return nn.functional.embedding(places, rows)


class SelfAttention(nn.Module):
    """Multi-head self-attention over the real steps.

    Args:
        width: Values a step, a multiple of `num_heads`.
        num_heads: Heads, each width / num_heads wide.
        dropout: Probability, on the attention weights.
    """

    def __init__(self, width: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if width % num_heads:
            raise ValueError(f"width {width} is not a multiple of num_heads {num_heads}")
        self.head_width = width // num_heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            hidden: (real steps, width).
            packing: Which sequence each step is of.
        Returns:
            outputs: (real steps, width).
            weights: (batch, heads, time, time), rows (the third axis asks) sum to 1.
        """
        parts = self.query_key_value(hidden).reshape(-1, self.head_width)
        query = take(parts, packing.query)  # (batch, heads, time, d)
        key = take(parts, packing.key)
        value = take(parts, packing.value)
        scores = torch.matmul(query, key.transpose(2, 3)) / math.sqrt(self.head_width)
        weights = torch.softmax(scores + packing.bias, dim=3)
        context = torch.matmul(self.dropout(weights), value)  # (batch, heads, time, d)
        joined = context.transpose(1, 2).reshape(-1, hidden.shape[1])  # (batch * time, width)
        return self.output(take(joined, packing.steps)), weights


class TransformerLayer(nn.Module):
    """Self-attention, then a two-layer perceptron; each around a normalised residual."""

    def __init__(self, width: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, num_heads, dropout)
        self.perceptron_norm = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
        """(real steps, width) to the same, and weights (batch, heads, time, time)."""
        attended, weights = self.attention(self.attention_norm(hidden), packing)
        hidden = hidden + self.dropout(attended)
        hidden = hidden + self.dropout(self.perceptron(self.perceptron_norm(hidden)))
        return hidden, weights


def sinusoids(num_steps: int, width: int, like: Tensor) -> Tensor:
    """Positions (time, width): sin and cos of t / 10000^(i / width), as `like`'s type."""
    steps = torch.arange(num_steps, device=like.device).to(like.dtype).unsqueeze(1)
    places = torch.arange(0, width, 2, device=like.device).to(like.dtype)
    angles = steps * torch.exp(places * (-math.log(10_000.0) / width))  # (time, width / 2)
    return torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)


class SelfAttentionStack(nn.Module):
    """Transformer layers over (batch, time, width); what both encoders below share."""

    def __init__(self, width: int, num_heads: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.layers = nn.ModuleList(
            TransformerLayer(width, num_heads, dropout) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, hidden: Tensor, lengths: Tensor) -> Encoding:
        """Encode; `weights` (batch, time) is the attention each step receives in the last layer,

        averaged over heads and over the real steps that ask.
        """
        batch_size, num_steps, width = hidden.shape
        mask = step_mask(lengths, num_steps)
        packing = packing_of(mask, self.num_heads, hidden.dtype)
        packed = take(hidden.reshape(-1, width), packing.steps)  # (real steps, width)
        for layer in self.layers:
            packed, weights = layer(packed, packing)  # weights (batch, heads, time, time)
        filled = take(self.norm(packed), packing.places).reshape(batch_size, num_steps, width)
        real = mask.to(hidden.dtype)
        outputs = filled * real.unsqueeze(2)
        received = torch.matmul(real[:, None, None, :], weights).sum(dim=(1, 2))  # (batch, time)
        received = received / (self.num_heads * lengths).unsqueeze(1)
        return Encoding(outputs, last_step(outputs, lengths), {}, received)


class Transformer(nn.Module):
    """A Transformer encoder over real-valued steps."""

    def __init__(
        self, input_size: int, width: int, num_heads: int, num_layers: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if width % 2:
            raise ValueError(f"hidden_size {width} must be even for sinusoidal positions")
        self.width = width
        self.project = nn.Linear(input_size, width)
        self.dropout = nn.Dropout(dropout)
        self.stack = SelfAttentionStack(width, num_heads, num_layers, dropout)

    def state_shapes(self) -> None:
        """It must see whole sequences."""

    def forward(self, inputs: Tensor, lengths: Tensor, state: State) -> Encoding:
        """Encode (batch, time, features)."""
        hidden = self.project(inputs)  # (batch, time, width)
        hidden = hidden + sinusoids(inputs.shape[1], self.width, hidden)
        return self.stack(self.dropout(hidden), lengths)  # type: ignore[no-any-return]


class Hybrid(nn.Module):
    """Recurrence first, self-attention over its outputs: order from one, reach from the other."""

    def __init__(self, recurrent: Recurrent, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.width = recurrent.width
        self.recurrent = recurrent
        self.dropout = nn.Dropout(dropout)
        self.stack = SelfAttentionStack(self.width, num_heads, 1, dropout)

    def state_shapes(self) -> None:
        """It must see whole sequences."""

    def forward(self, inputs: Tensor, lengths: Tensor, state: State) -> Encoding:
        """Encode (batch, time, features)."""
        encoding: Encoding = self.recurrent(inputs, lengths, state)
        return self.stack(self.dropout(encoding.outputs), lengths)  # type: ignore[no-any-return]
