"""Encoder-decoders, one source and one target at a time: what comes after each target token.

Recurrent: Bahdanau et al. 2015's attention between two cells, as in Wu et al. 2016. Transformer:
Vaswani et al. 2017, normalised first. Both give their logits with the target's embedding again
(Press and Wolf 2017).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tests.reference.attention import pool, softmax
from tests.reference.recurrent import encode, encode_both_ways
from tests.reference.transformer import gelu, layer_norm, sinusoids, stack
from tests.reference.weights import Array, Weights, layers, linear, under


class Translated(NamedTuple):
    """What a model says after each token of a target."""

    logits: Array  # (time, vocabulary)
    attention: Array  # (time, source)


def recurrent(cell: str, weights: Weights, source: list[int], target: list[int]) -> Translated:
    """By the recurrent model."""
    read = weights["source_embedding.weight"][source]
    values = encode_both_ways(cell, under(weights, "encoder"), read)
    begin = np.tanh(linear(weights, "begin", values.last))
    names = ("hidden", "cell") if cell == "lstm" else ("hidden",)
    states = np.split(begin, 2 * len(names))
    first = {name: state[None] for name, state in zip(names, states, strict=False)}
    second = {name: state[None] for name, state in zip(names, states[len(names) :], strict=True)}
    lower = encode(cell, under(weights, "lower"), weights["target_embedding.weight"][target], first)
    looked = [
        pool("additive", under(weights, "attention"), values.outputs, step)
        for step in lower.outputs
    ]
    contexts = np.stack([context for context, _ in looked])
    joined = np.concatenate([lower.outputs, contexts], axis=1)
    upper = encode(cell, under(weights, "upper"), joined, second)
    answer = linear(weights, "narrow", np.concatenate([upper.outputs, contexts], axis=1))
    return Translated(_logits(weights, answer), np.stack([shares for _, shares in looked]))


def transformer(
    num_heads: int, weights: Weights, source: list[int], target: list[int]
) -> Translated:
    """By the Transformer."""
    read = _embedded(weights, "source_embedding", source)
    memory = stack(under(weights, "encoder"), num_heads, read).outputs
    hidden = _embedded(weights, "target_embedding", target)
    width, attention = hidden.shape[1], np.zeros((len(target), len(source)))
    for here in layers(weights):
        query, key, value = np.split(
            linear(here, "query_key_value", layer_norm(here, "self_norm", hidden)), 3, axis=1
        )
        contexts = [
            _heads(num_heads, query[step], key[: step + 1], value[: step + 1])[0]
            for step in range(len(target))
        ]
        hidden = hidden + linear(here, "self_output", np.stack(contexts))
        query = linear(here, "memory_query", layer_norm(here, "memory_norm", hidden))
        both = linear(here, "memory_key_value", memory)
        looked = [_heads(num_heads, row, both[:, :width], both[:, width:]) for row in query]
        hidden = hidden + linear(
            here, "memory_output", np.stack([context for context, _ in looked])
        )
        inner = gelu(linear(here, "perceptron.0", layer_norm(here, "perceptron_norm", hidden)))
        hidden = hidden + linear(here, "perceptron.3", inner)
        attention = np.stack([shares for _, shares in looked])
    return Translated(_logits(weights, layer_norm(weights, "norm", hidden)), attention)


def _heads(num_heads: int, query: Array, keys: Array, values: Array) -> tuple[Array, Array]:
    """One query (width,) to (source, width): context (width,), weights meant over heads."""
    size = len(query) // num_heads
    parts = [slice(head * size, (head + 1) * size) for head in range(num_heads)]
    shares = [softmax(keys[:, part] @ query[part] / math.sqrt(size)) for part in parts]
    context = [share @ values[:, part] for share, part in zip(shares, parts, strict=True)]
    return np.concatenate(context), np.mean(shares, axis=0)


def _embedded(weights: Weights, name: str, tokens: list[int]) -> Array:
    vectors = weights[f"{name}.weight"][tokens]
    width = vectors.shape[1]
    result: Array = vectors * math.sqrt(width) + sinusoids(len(tokens), width)
    return result


def _logits(weights: Weights, answer: Array) -> Array:
    result: Array = answer @ weights["target_embedding.weight"].T + weights["bias"]
    return result
