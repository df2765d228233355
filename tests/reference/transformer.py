"""The Transformer encoder: Vaswani et al. 2017, normalised first as in Xiong et al. 2020.

GELU is exact (Hendrycks & Gimpel 2016): gelu(x) = x Phi(x), Phi the normal distribution function.
"""

from __future__ import annotations

import math

import numpy as np

from tests.reference.attention import softmax
from tests.reference.recurrent import Encoded
from tests.reference.weights import Array, Weights, layers, linear, under

NORM_EPSILON = 1e-5


def layer_norm(weights: Weights, name: str, hidden: Array) -> Array:
    """Each row to mean 0 and variance 1 (biased), then scaled and shifted (Ba et al. 2016)."""
    centred = hidden - hidden.mean(axis=1, keepdims=True)
    variance = (centred**2).mean(axis=1, keepdims=True)
    normal = centred / np.sqrt(variance + NORM_EPSILON)
    result: Array = normal * weights[f"{name}.weight"] + weights[f"{name}.bias"]
    return result


def gelu(values: Array) -> Array:
    """values * Phi(values)."""
    phi = [0.5 * (1.0 + math.erf(value / math.sqrt(2.0))) for value in values.flat]
    result: Array = values * np.reshape(phi, values.shape)
    return result


def sinusoids(num_steps: int, width: int) -> Array:
    """Positions (time, width): first the sines of all frequencies, then the cosines."""
    positions = np.zeros((num_steps, width))
    half = width // 2
    for step in range(num_steps):
        for place in range(half):
            angle = step / 10_000.0 ** (2 * place / width)
            positions[step, place] = math.sin(angle)
            positions[step, half + place] = math.cos(angle)
    return positions


def self_attention(weights: Weights, num_heads: int, hidden: Array) -> tuple[Array, Array]:
    """Every step asks every step: outputs (time, width), weights (heads, time, time)."""
    query, key, value = np.split(linear(weights, "query_key_value", hidden), 3, axis=1)
    size = hidden.shape[1] // num_heads
    contexts, all_weights = [], []
    for head in range(num_heads):
        part = slice(head * size, (head + 1) * size)
        shares = softmax(query[:, part] @ key[:, part].T / math.sqrt(size))
        contexts.append(shares @ value[:, part])
        all_weights.append(shares)
    return linear(weights, "output", np.concatenate(contexts, axis=1)), np.stack(all_weights)


def stack(weights: Weights, num_heads: int, hidden: Array) -> Encoded:
    """All layers over (time, width), and the attention each step receives in the last."""
    received = np.zeros(len(hidden))
    for weights_here in layers(weights):
        normal = layer_norm(weights_here, "attention_norm", hidden)
        attended, shares = self_attention(under(weights_here, "attention"), num_heads, normal)
        hidden = hidden + attended
        normal = layer_norm(weights_here, "perceptron_norm", hidden)
        inner = gelu(linear(weights_here, "perceptron.0", normal))
        hidden = hidden + linear(weights_here, "perceptron.3", inner)
        received = shares.mean(axis=(0, 1))
    outputs = layer_norm(weights, "norm", hidden)
    return Encoded(outputs, outputs[-1], {}, received)


def encode(weights: Weights, num_heads: int, sequence: Array) -> Encoded:
    """Project (time, features), add positions, run the layers."""
    hidden = linear(weights, "project", sequence)
    hidden = hidden + sinusoids(*hidden.shape)
    return stack(under(weights, "stack"), num_heads, hidden)
