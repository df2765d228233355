"""Backpropagation through time of the Elman RNN, derived by hand.

Forward, layer l = 1..L, with x_1(t) the input, x_l(t) = h_{l-1}(t) above it, and h_l(0) = 0:

    a_l(t) = W_xh x_l(t) + W_hh h_l(t-1) + b        h_l(t) = f(a_l(t))
    y(t) = W_hy h_L(t) + b_y                        p(t) = softmax(y(t))
    E = sum over the answered steps t of -scale * log p(t)[target(t)]

Backward. d log softmax gives e(t) = dE/dy(t) = scale * (p(t) - onehot(target(t))) at an answered
step and 0 elsewhere. h_l(t) acts on E through what lies above it at t and through its own layer at
t+1, so by the chain rule, with D_l(t) = dE/da_l(t):

    dE/dh_l(t) = above + W_hh^T D_l(t+1)      above = W_hy^T e(t) if l = L, else W_xh'^T D_{l+1}(t)
    D_l(t) = f'(a_l(t)) * dE/dh_l(t)          tanh' = 1 - h^2,  relu' = 1 where h > 0 else 0

(W_xh' is of layer l+1.) Each weight acts at every step, so its gradient is a sum over steps:

    dE/dW_xh = sum D_l(t) x_l(t)^T    dE/dW_hh = sum D_l(t) h_l(t-1)^T    dE/db = sum D_l(t)
    dE/dW_hy = sum e(t) h_L(t)^T      dE/db_y = sum e(t)

Truncated to windows of k steps (Williams & Peng 1990), the term W_hh^T D_l(t+1) falls away where
t+1 begins a window; h_l(t-1) in dE/dW_hh stays, as a constant.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.reference.attention import softmax
from tests.reference.recurrent import layer
from tests.reference.weights import Array, Weights, gates_of, layers, under


def batch_gradients(
    weights: Weights,
    cell: str,
    sequences: Sequence[Array],
    targets: Sequence[Sequence[int]],
    window: int | None = None,
) -> tuple[float, Weights]:
    """The mean loss over all answers of a batch, and its gradients under the model's own names.

    Args:
        weights: Of a model of family `rnn` whose head is `last` or `per_step`.
        cell: `rnn_tanh` or `rnn_relu`.
        sequences: (time_i, features) each.
        targets: A class for each of a sequence's *last* steps: one, or one a step.
        window: Steps that gradients go back through; None for all.
    """
    num_answers = sum(len(classes) for classes in targets)
    loss, gradients = 0.0, {name: np.zeros_like(value) for name, value in weights.items()}
    for sequence, classes in zip(sequences, targets, strict=True):
        loss += _add_gradients(
            gradients, weights, cell, sequence, classes, 1.0 / num_answers, window or len(sequence)
        )
    return loss, gradients


def _add_gradients(
    gradients: Weights,
    weights: Weights,
    cell: str,
    sequence: Array,
    classes: Sequence[int],
    scale: float,
    window: int,
) -> float:
    """One sequence's part of the loss; its gradients are added to `gradients`."""
    stacked = [gates_of(part, cell)["h"] for part in layers(under(weights, "encoder"))]
    inputs = [sequence]  # x_l, (time, features) each; after the last layer h_L
    for gate in stacked:
        zeros = np.zeros(len(gate.b_h))
        inputs.append(layer(cell, {"h": gate}, inputs[-1], zeros, zeros)[0])

    w_hy, b_y = weights["head.output.weight"], weights["head.output.bias"]
    first = len(sequence) - len(classes)  # the first answered step
    probabilities = softmax(inputs[-1][first:] @ w_hy.T + b_y)
    chosen = probabilities[np.arange(len(classes)), classes]
    errors = np.zeros((len(sequence), len(b_y)))  # e(t)
    errors[first:] = scale * (probabilities - np.eye(len(b_y))[list(classes)])
    gradients["head.output.weight"] += errors.T @ inputs[-1]
    gradients["head.output.bias"] += errors.sum(axis=0)

    above = errors @ w_hy  # (time, hidden)
    for depth in reversed(range(len(stacked))):
        hidden = inputs[depth + 1]
        deltas = _deltas(cell, stacked[depth].w_h, hidden, above, window)
        before = np.vstack([np.zeros(hidden.shape[1]), hidden[:-1]])  # h_l(t-1)
        name = f"encoder.layers.{depth}"
        gradients[f"{name}.weight_ih_l0"] += deltas.T @ inputs[depth]
        gradients[f"{name}.weight_hh_l0"] += deltas.T @ before
        for bias in ("bias_ih_l0", "bias_hh_l0"):  # b is their sum
            gradients[f"{name}.{bias}"] += deltas.sum(axis=0)
        above = deltas @ stacked[depth].w_x
    return float(-scale * np.log(chosen).sum())


def _deltas(cell: str, w_hh: Array, hidden: Array, above: Array, window: int) -> Array:
    """D_l(t) of one layer, (time, hidden), from its last step to its first."""
    slopes = 1.0 - hidden**2 if cell == "rnn_tanh" else (hidden > 0.0).astype(np.float64)
    deltas = np.zeros_like(hidden)
    for t in reversed(range(len(hidden))):
        flowing = above[t].copy()
        if t + 1 < len(hidden) and (t + 1) % window:
            flowing += w_hh.T @ deltas[t + 1]
        deltas[t] = slopes[t] * flowing
    return deltas
