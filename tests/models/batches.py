"""Random models and ragged batches, shared by the tests of the models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models import FAMILIES, Architecture, SequenceModel, architecture_of, build

NUM_FEATURES = 3
NUM_CLASSES = 4
HEADS: tuple[dict[str, str], ...] = (
    {"head": "last"},
    {"head": "mean"},
    {"head": "per_step"},
    {"head": "attention", "score": "additive"},
    {"head": "attention", "score": "dot"},
)
STATEFUL_FAMILIES = ("rnn", "lstm", "gru")


def _heads(family: str) -> tuple[dict[str, str], ...]:
    """`attention` is the three stateful families' encoder under attention pooling: not twice."""
    if family in STATEFUL_FAMILIES:
        return HEADS[:3]
    return HEADS[3:] if family == "attention" else HEADS


KINDS = tuple(
    {"family": family, **({"cell": cell} if cell else {}), **head}
    for family, described in FAMILIES.items()
    for cell in described.cells or ("",)
    for head in _heads(family)
)
"""Every encoder over every cell it takes, with every head."""

STATEFUL = tuple(kind for kind in KINDS if kind["family"] in STATEFUL_FAMILIES)
WHOLE = tuple(kind for kind in KINDS if kind not in STATEFUL)
"""Those that must see whole sequences."""


def name_of(kind: dict[str, str]) -> str:
    """What pytest calls one of KINDS."""
    return "-".join(kind.values())


def random_model(
    seed: int, kind: dict[str, str], **sizes: object
) -> tuple[Architecture, SequenceModel]:
    """A model in double with every weight random: biases and standardisation too."""
    settings: dict[str, object] = {
        "hidden_size": 8,
        "num_layers": 1,
        "num_heads": 2,
        **sizes,
        **kind,
    }
    family = str(settings.pop("family"))
    architecture = architecture_of(family, NUM_FEATURES, NUM_CLASSES, **settings)
    model = build(architecture).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            # variance 1 / width, so that relu states neither die nor blow up
            parameter.copy_(noise / parameter.shape[-1] ** 0.5)
        scale = model.front
        scale.mean.normal_(generator=generator)
        scale.deviation.uniform_(0.5, 2.0, generator=generator)
    return architecture, model


def random_sequences(seed: int, lengths: Sequence[int]) -> list[NDArray[np.float64]]:
    """One (time, features) a length."""
    generator = np.random.default_rng(seed)
    return [generator.normal(size=(length, NUM_FEATURES)) for length in lengths]


def pad(
    sequences: Sequence[NDArray[np.float64]], rubbish: float = 0.0, extra: int = 0
) -> tuple[Tensor, Tensor]:
    """Inputs (batch, time + extra, features), `rubbish` past each length; lengths (batch,)."""
    lengths = [len(sequence) for sequence in sequences]
    inputs = torch.full((len(lengths), max(lengths) + extra, NUM_FEATURES), rubbish).double()
    for row, sequence in zip(inputs, sequences, strict=True):
        row[: len(sequence)] = torch.from_numpy(sequence)
    return inputs, torch.tensor(lengths)
