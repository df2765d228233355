"""From one sequence's encoding to its logits, and the whole model put together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.families import Architecture
from tests.reference import attention, recurrent, transformer
from tests.reference.recurrent import Encoded
from tests.reference.weights import Array, Weights, linear, under


class Answer(NamedTuple):
    """What a model says of one sequence."""

    logits: Array  # (classes,), or (time, classes)
    state: dict[str, Array]  # (layers, hidden) each; empty if the family reads whole sequences
    weights: Array | None  # (time,)


def answer(architecture: Architecture, weights: Weights, sequence: Array) -> Answer:
    """Read one sequence (time, features) from its beginning."""
    scale = under(weights, "front")
    normal = (sequence - scale["mean"]) / scale["deviation"]
    encoded = encode(architecture, under(weights, "encoder"), normal)
    head = under(weights, "head")
    if architecture.head == "last":
        return Answer(linear(head, "output", encoded.last), encoded.state, encoded.weights)
    if architecture.head == "mean":
        mean: Array = np.mean(encoded.outputs, axis=0)
        return Answer(linear(head, "output", mean), encoded.state, encoded.weights)
    if architecture.head == "per_step":
        return Answer(linear(head, "output", encoded.outputs), encoded.state, encoded.weights)
    context, shares = attention.pool(architecture.score, head, encoded.outputs, encoded.last)
    logits = linear(head, "output", np.concatenate([context, encoded.last]))
    return Answer(logits, {}, shares)


def encode(architecture: Architecture, weights: Weights, sequence: Array) -> Encoded:
    """The family's encoder over (time, features)."""
    if architecture.family == "transformer":
        return transformer.encode(weights, architecture.num_heads, sequence)
    if architecture.family == "hybrid":
        first = recurrent.encode_both_ways(architecture.cell, under(weights, "recurrent"), sequence)
        return transformer.stack(under(weights, "stack"), architecture.num_heads, first.outputs)
    if architecture.family == "birnn":
        return recurrent.encode_both_ways(architecture.cell, weights, sequence)
    return recurrent.encode(architecture.cell, weights, sequence, {})
