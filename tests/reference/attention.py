"""Attention pooling: additive (Bahdanau et al. 2015), scaled dot-product (Vaswani et al. 2017)."""

from __future__ import annotations

import math

import numpy as np

from tests.reference.weights import Array, Weights, linear


def softmax(scores: Array) -> Array:
    """exp(scores) over their sum, along the last axis."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    result: Array = powers / powers.sum(axis=-1, keepdims=True)
    return result


def additive_score(weights: Weights, query: Array, key: Array) -> float:
    """v . tanh(q + k)."""
    return float(weights["combine"] @ np.tanh(query + key))


def dot_score(query: Array, key: Array) -> float:
    """q . k / sqrt(width)."""
    return float(query @ key) / math.sqrt(len(key))


def pool(kind: str, weights: Weights, outputs: Array, last: Array) -> tuple[Array, Array]:
    """What `last` (width,) asks of outputs (time, width): context (width,), weights (time,)."""
    query = linear(weights, "query", last)
    scores = []
    for output in outputs:
        key = weights["key.weight"] @ output
        scores.append(
            additive_score(weights, query, key) if kind == "additive" else dot_score(query, key)
        )
    shares = softmax(np.array(scores))
    context = sum((share * output for share, output in zip(shares, outputs, strict=True)), 0 * last)
    return context, shares
