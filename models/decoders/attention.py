"""Attention of a decoder: over a memory, which is constant, and over its own past, which grows.

Additive attention (Bahdanau, Cho and Bengio, ICLR 2015), of a query q over memory m(1..S):

    e(s) = v . tanh(W_q q + W_k m(s) + b);  weights = softmax over real s of e;  context = sum_s
    weights(s) m(s)

Multi-head attention is Vaswani et al.'s (`models/transformer.py`); here its keys and values come
ready made, so that a step computes its own alone.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from models.sequence import step_mask


def clean(padded: Tensor, lengths: Tensor) -> Tensor:
    """Zeros past each length of (batch, time, width): rubbish there, NaN too, reaches no sum."""
    mask = step_mask(lengths, padded.shape[1]).unsqueeze(2)
    return torch.where(mask, padded, torch.zeros_like(padded))


class AdditiveAttention(nn.Module):
    """Queries against keys made once a memory.

    Args:
        query_size: Values a query.
        memory_size: Values a step of what is attended to.
        width: Of the space in which both are added.
    """

    def __init__(self, query_size: int, memory_size: int, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_size, width)
        self.key = nn.Linear(memory_size, width, bias=False)
        self.combine = nn.Parameter(torch.randn(width) / math.sqrt(width))  # v

    def forward(
        self, queries: Tensor, keys: Tensor, values: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            queries: (batch, time, query_size).
            keys: (batch, source, width), `self.key` of the values.
            values: (batch, source, memory_size).
            lengths: int64 (batch,), real steps of the source, one at least.
        Returns:
            context: (batch, time, memory_size).
            weights: (batch, time, source), rows sum to 1.
        """
        mixed = torch.tanh(self.query(queries).unsqueeze(2) + keys.unsqueeze(1))
        scores = torch.matmul(mixed, self.combine)  # (batch, time, source)
        mask = step_mask(lengths, values.shape[1]).unsqueeze(1)
        weights = torch.softmax(scores.masked_fill(~mask, -torch.inf), dim=2)
        return torch.matmul(weights, values), weights


def split_heads(steps: Tensor, num_heads: int) -> Tensor:
    """(batch, time, width) to (batch, heads, time, width / heads)."""
    batch_size, num_steps, width = steps.shape
    return steps.reshape(batch_size, num_steps, num_heads, width // num_heads).transpose(1, 2)


def attend(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, num_heads: int
) -> tuple[Tensor, Tensor]:
    """Multi-head attention of ready projections.

    Args:
        query: (batch, time, width).
        keys: (batch, source, width).
        values: (batch, source, width).
        mask: bool, of a shape that broadcasts to (batch, 1, time, source); True may be attended.
        num_heads: Parts of the width.
    Returns:
        context: (batch, time, width).
        weights: (batch, heads, time, source).
    """
    batch_size, num_steps, width = query.shape
    heads = split_heads(query, num_heads)
    scores = torch.matmul(heads, split_heads(keys, num_heads).transpose(2, 3))
    scores = scores / math.sqrt(width // num_heads)
    weights = torch.softmax(scores.masked_fill(~mask, -torch.inf), dim=3)
    context = torch.matmul(weights, split_heads(values, num_heads))
    return context.transpose(1, 2).reshape(batch_size, num_steps, width), weights
