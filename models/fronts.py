"""The fronts: from what a step is, features or tokens, to what an encoder reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn


class Front(Protocol):
    """A module that reads raw steps; `input_size` is its outputs' last axis."""

    input_size: int

    def sample(self, batch_size: int, num_steps: int) -> Tensor:
        """Steps of the kind that it reads, random."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Of (batch, time, ...), (batch, time, input_size)."""


class Standardise(nn.Module):
    """(inputs - mean) / deviation, with the training set's figures, inside the graph."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.input_size = num_features
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("deviation", torch.ones(num_features))

    def sample(self, batch_size: int, num_steps: int) -> Tensor:
        """Normal features (batch, time, features)."""
        return torch.randn(batch_size, num_steps, self.input_size)

    def forward(self, inputs: Tensor) -> Tensor:
        """Both (batch, time, features)."""
        return (inputs - self.mean) / self.deviation


class Embeddings(nn.Module):
    """The sum of a learnt vector for each of a step's tokens."""

    def __init__(self, num_tokens: Sequence[int], width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.input_size = width
        self.num_tokens = list(num_tokens)
        self.vectors = nn.ModuleList(nn.Embedding(count, width) for count in num_tokens)
        for table in self.vectors:  # small: a token that training never has adds little
            nn.init.normal_(table.weight, std=0.1)  # type: ignore[arg-type]
        self.dropout = nn.Dropout(dropout)

    def sample(self, batch_size: int, num_steps: int) -> Tensor:
        """Ids (batch, time, tokens) of the vocabularies."""
        ids = [torch.randint(count, (batch_size, num_steps)) for count in self.num_tokens]
        return torch.stack(ids, dim=2)

    def forward(self, inputs: Tensor) -> Tensor:
        """Ids int64 (batch, time, tokens) to (batch, time, width)."""
        each = [table(inputs[:, :, place]) for place, table in enumerate(self.vectors)]
        read: Tensor = self.dropout(torch.stack(each).sum(dim=0))
        return read


class Embedding(nn.Module):
    """A learnt vector for each token."""

    def __init__(self, num_tokens: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.input_size = width
        self.vectors = nn.Embedding(num_tokens, width)
        self.dropout = nn.Dropout(dropout)

    def sample(self, batch_size: int, num_steps: int) -> Tensor:
        """Ids (batch, time) of the vocabulary."""
        return torch.randint(self.vectors.num_embeddings, (batch_size, num_steps))

    def forward(self, inputs: Tensor) -> Tensor:
        """Ids int64 (batch, time) to (batch, time, width)."""
        read: Tensor = self.dropout(self.vectors(inputs))
        return read
