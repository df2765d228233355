"""Self-attention encoders: the Transformer, and the hybrid of recurrence and self-attention.

Multi-head self-attention (Vaswani et al., NIPS 2017), a head with its own W_q, W_k, W_v:

    weights = softmax(Q K^T / sqrt(d) + padding mask)      Q = h W_q, K = h W_k, V = h W_v
    A(h) = concat over heads(weights V) W_o

A layer, normalised before each part (Xiong et al., ICML 2020):

    h <- h + A(norm(h));    h <- h + W_2 gelu(W_1 norm(h) + b_1) + b_2

Positions are the sinusoids of Vaswani et al., section 3.5: computed, so of any length.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from models.recurrent import Recurrent
from models.sequence import Encoding, State, last_step, step_mask


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
        self.num_heads = num_heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            hidden: (batch, time, width).
            mask: bool (batch, time), True at real steps.
        Returns:
            outputs: (batch, time, width).
            weights: (batch, heads, time, time), rows (the third axis asks) sum to 1.
        """
        batch_size, num_steps, width = hidden.shape
        parts = self.query_key_value(hidden).reshape(
            batch_size, num_steps, 3, self.num_heads, width // self.num_heads
        )
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)  # (batch, heads, time, d)
        scores = torch.matmul(query, key.transpose(2, 3)) / math.sqrt(query.shape[3])
        scores = scores.masked_fill(~mask[:, None, None, :], -torch.inf)
        weights = torch.softmax(scores, dim=3)
        context = torch.matmul(self.dropout(weights), value)  # (batch, heads, time, d)
        joined = context.transpose(1, 2).reshape(batch_size, num_steps, width)
        return self.output(joined), weights


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

    def forward(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, time, width) to the same, and weights (batch, heads, time, time)."""
        attended, weights = self.attention(self.attention_norm(hidden), mask)
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
        self.layers = nn.ModuleList(
            TransformerLayer(width, num_heads, dropout) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, hidden: Tensor, lengths: Tensor) -> Encoding:
        """Encode; `weights` (batch, time) is the attention each step receives in the last layer,

        averaged over heads and over the real steps that ask.
        """
        mask = step_mask(lengths, hidden.shape[1])
        for layer in self.layers:
            hidden, weights = layer(hidden, mask)  # weights (batch, heads, time, time)
        real = mask.unsqueeze(2).to(hidden.dtype)  # (batch, time, 1)
        outputs = self.norm(hidden) * real
        received = (weights.mean(dim=1) * real).sum(dim=1) / lengths.unsqueeze(1)
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
