"""The causal Transformer, one step after the other: Vaswani et al. 2017 with Su et al. 2021.

Normalised first (Xiong et al. 2020); squared rectifiers (So et al. 2021).
"""

from __future__ import annotations

import math

import numpy as np

from tests.reference.attention import softmax
from tests.reference.transformer import layer_norm
from tests.reference.weights import Array, Weights, layers, linear, under


def rotated(vector: Array, position: int) -> Array:
    """Pairs (v_j, v_(j + half)) as complex numbers, times e^(i position / 10000^(j / half))."""
    half = len(vector) // 2
    pairs = vector[:half] + 1j * vector[half:]
    pairs = pairs * np.exp(1j * position / 10_000.0 ** (np.arange(half) / half))
    return np.concatenate([pairs.real, pairs.imag])


def embedded(weights: Weights, tokens: list[int], step: int) -> Array:
    """The sum of the embeddings of a token and of those before it."""
    tables = [weights[name] for name in sorted(weights) if name.startswith("embeddings.")]
    places = range(step, step - len(tables), -1)
    rows = [
        table[tokens[at]] if at >= 0 else table[-1]
        for table, at in zip(tables, places, strict=True)
    ]
    total: Array = np.sum(rows, axis=0)
    return total


def attend(weights: Weights, num_heads: int, window: int, normal: Array) -> Array:
    """Each step of (time, width) asks itself and the window - 1 steps before it."""
    query, key, value = np.split(normal @ weights["query_key_value.weight"].T, 3, axis=1)
    size = normal.shape[1] // num_heads
    outputs = []
    for step in range(len(normal)):
        contexts = []
        for head in range(num_heads):
            part = slice(head * size, (head + 1) * size)
            seen = range(max(0, step - window + 1), step + 1)
            asks = rotated(query[step, part], step)
            scores = [asks @ rotated(key[at, part], at) / math.sqrt(size) for at in seen]
            contexts.append(softmax(np.array(scores)) @ value[list(seen), part])
        outputs.append(weights["output.weight"] @ np.concatenate(contexts))
    return np.stack(outputs)


def logits(weights: Weights, num_heads: int, window: int, tokens: list[int]) -> Array:
    """Logits (time, tokens) of what follows each step of a text."""
    hidden = np.stack([embedded(weights, tokens, step) for step in range(len(tokens))])
    for here in layers(weights):
        normal = layer_norm(here, "attention_norm", hidden)
        hidden = hidden + attend(under(here, "attention"), num_heads, window, normal)
        inner = layer_norm(here, "perceptron_norm", hidden) @ here["inner.weight"].T
        hidden = hidden + np.maximum(0.0, inner) ** 2 @ here["outer.weight"].T
    return linear(weights, "output", layer_norm(weights, "norm", hidden))
