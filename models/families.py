"""The families by name, each with sizes that train on a CPU in minutes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal

from torch import nn

from models.fronts import Embedding, Embeddings, Standardise
from models.heads import AttentionPooling, LastState, Mean, PerStep, Score
from models.recurrent import Cell, Recurrent
from models.sequence import SequenceModel
from models.transformer import Hybrid, Transformer

HeadName = Literal["last", "mean", "attention", "per_step"]


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Which model to build; what a family does not use, it ignores."""

    family: str
    num_features: int
    num_classes: int
    hidden_size: int = 96
    """Values of a recurrent state (one direction), or the Transformer's width."""
    num_layers: int = 2
    cell: Cell = "gru"
    """Of the families that may run over any cell: birnn, attention, hybrid; `rnn` takes rnn_*."""
    head: HeadName = "last"
    score: Score = "additive"
    """How attention pooling scores a step."""
    num_heads: int = 4
    dropout: float = 0.1
    num_tokens: int = 0
    """Of a model that reads tokens: the vocabulary's size; it then has no features."""
    groups: Sequence[int] = ()
    """Of a model that reads more tokens a step than one: the sizes of the others' vocabularies."""
    embedding_size: int = 64
    """Values of a token's vector."""

    @property
    def input_size(self) -> int:
        """What an encoder reads a step."""
        return self.embedding_size if self.num_tokens else self.num_features


def _front(architecture: Architecture) -> Standardise | Embedding | Embeddings:
    if architecture.num_tokens:
        size, dropout = architecture.embedding_size, architecture.dropout
        if architecture.groups:
            counts = [architecture.num_tokens, *architecture.groups]
            return Embeddings(counts, size, dropout)
        return Embedding(architecture.num_tokens, size, dropout)
    return Standardise(architecture.num_features)


def _recurrent(architecture: Architecture, *, bidirectional: bool = False) -> Recurrent:
    return Recurrent(
        architecture.cell,
        architecture.input_size,
        architecture.hidden_size,
        architecture.num_layers,
        bidirectional=bidirectional,
        dropout=architecture.dropout,
    )


def _birnn(architecture: Architecture) -> Recurrent:
    return _recurrent(architecture, bidirectional=True)


def _transformer(architecture: Architecture) -> Transformer:
    return Transformer(
        architecture.input_size,
        architecture.hidden_size,
        architecture.num_heads,
        architecture.num_layers,
        architecture.dropout,
    )


def _hybrid(architecture: Architecture) -> Hybrid:
    recurrent = _recurrent(architecture, bidirectional=True)
    return Hybrid(recurrent, architecture.num_heads, architecture.dropout)


@dataclasses.dataclass(frozen=True)
class Family:
    """One family: its encoder, and where its defaults differ from `Architecture`'s."""

    encoder: Callable[[Architecture], Recurrent | Transformer | Hybrid]
    defaults: dict[str, object]
    cells: tuple[Cell, ...]
    """The cells it runs over; empty if it has none."""


FAMILIES: dict[str, Family] = {
    "rnn": Family(
        _recurrent,
        {"cell": "rnn_tanh", "hidden_size": 128, "head": "mean"},
        ("rnn_tanh", "rnn_relu"),
    ),
    "lstm": Family(_recurrent, {"cell": "lstm", "head": "mean"}, ("lstm",)),
    "gru": Family(_recurrent, {"cell": "gru"}, ("gru",)),
    "birnn": Family(
        _birnn, {"cell": "lstm", "hidden_size": 48}, ("rnn_tanh", "rnn_relu", "lstm", "gru")
    ),
    "attention": Family(
        _recurrent,
        {"cell": "gru", "head": "attention"},
        ("rnn_tanh", "rnn_relu", "lstm", "gru"),
    ),
    "transformer": Family(_transformer, {"hidden_size": 80, "num_layers": 3, "head": "mean"}, ()),
    "hybrid": Family(
        _hybrid,
        {"cell": "gru", "hidden_size": 48, "num_layers": 1, "head": "mean"},
        ("rnn_tanh", "rnn_relu", "lstm", "gru"),
    ),
}


def architecture_of(
    family: str, num_features: int, num_classes: int, **sizes: object
) -> Architecture:
    """The family's defaults, with any of `Architecture`'s other fields given by name.

    Raises:
        ValueError: Unknown family or field, a cell that the family does not run over, or a head
            that it has not.
    """
    if family not in FAMILIES:
        raise ValueError(f"unknown family {family!r}; there are {', '.join(FAMILIES)}")
    known = {field.name for field in dataclasses.fields(Architecture)}
    if unknown := set(sizes) - known:
        raise ValueError(f"unknown settings of an architecture: {', '.join(sorted(unknown))}")
    settings = {**FAMILIES[family].defaults, **sizes}
    architecture = Architecture(family, num_features, num_classes, **settings)  # type: ignore[arg-type]
    cells = FAMILIES[family].cells
    if cells and architecture.cell not in cells:
        raise ValueError(f"{family} runs over {', '.join(cells)}, not {architecture.cell}")
    if family == "attention" and architecture.head == "per_step":
        raise ValueError("attention pools a whole sequence; hybrid attends at each step")
    return architecture


def build(architecture: Architecture) -> SequenceModel:
    """A new model with random weights (torch's global generator)."""
    encoder = FAMILIES[architecture.family].encoder(architecture)
    width, num_classes = encoder.width, architecture.num_classes
    head: nn.Module
    if architecture.head == "attention":
        head = AttentionPooling(width, num_classes, architecture.score, architecture.dropout)
    else:
        kinds = {"last": LastState, "mean": Mean, "per_step": PerStep}
        head = kinds[architecture.head](width, num_classes, architecture.dropout)
    return SequenceModel(_front(architecture), encoder, head)
