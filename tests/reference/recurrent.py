"""Elman RNN, LSTM and GRU, any number of layers, one direction or both.

Elman, "Finding structure in time", 1990; Hochreiter & Schmidhuber 1997 with the forget gate of
Gers et al. 2000; Cho et al. 2014, its reset gate after the matrix product; Schuster & Paliwal 1997.
Every gate has two biases, b_x and b_h; the equations' b is their sum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tests.reference.weights import Array, Gate, Weights, gates_of, layers


class Encoded(NamedTuple):
    """What an encoder says of one sequence."""

    outputs: Array  # (time, width)
    last: Array  # (width,)
    state: dict[str, Array]  # (layers, hidden) each
    weights: Array | None  # (time,), attention each step received


def sigmoid(values: Array) -> Array:
    """1 / (1 + exp(-values))."""
    result: Array = 1.0 / (1.0 + np.exp(-values))
    return result


def total(gate: Gate, x: Array, hidden: Array) -> Array:
    """W_x x + W_h h + b, (hidden,)."""
    result: Array = gate.w_x @ x + gate.b_x + gate.w_h @ hidden + gate.b_h
    return result


def step(
    cell: str, gates: dict[str, Gate], x: Array, hidden: Array, memory: Array
) -> tuple[Array, Array]:
    """h(t) and c(t) from x(t), h(t-1) and c(t-1); only an LSTM has c."""
    if cell == "rnn_tanh":
        return np.tanh(total(gates["h"], x, hidden)), memory
    if cell == "rnn_relu":
        return np.maximum(0.0, total(gates["h"], x, hidden)), memory
    if cell == "lstm":
        i, f, o = (sigmoid(total(gates[letter], x, hidden)) for letter in "ifo")
        g = np.tanh(total(gates["g"], x, hidden))
        memory = f * memory + i * g
        return o * np.tanh(memory), memory
    r, z = (sigmoid(total(gates[letter], x, hidden)) for letter in "rz")
    new = gates["n"]
    n = np.tanh(new.w_x @ x + new.b_x + r * (new.w_h @ hidden + new.b_h))
    return (1.0 - z) * n + z * hidden, memory


def layer(
    cell: str, gates: dict[str, Gate], sequence: Array, hidden: Array, memory: Array
) -> tuple[Array, Array, Array]:
    """Read (time, features); outputs (time, hidden), then h(T) and c(T)."""
    outputs = []
    for x in sequence:
        hidden, memory = step(cell, gates, x, hidden, memory)
        outputs.append(hidden)
    return np.stack(outputs), hidden, memory


def encode(cell: str, weights: Weights, sequence: Array, state: dict[str, Array]) -> Encoded:
    """A stack over (time, features), from a state (layers, hidden) or, if empty, from zeros."""
    hiddens, memories = [], []
    for depth, weights_here in enumerate(layers(weights)):
        gates = gates_of(weights_here, cell)
        zeros = np.zeros(gates[min(gates)].w_h.shape[0])
        hidden = state["hidden"][depth] if "hidden" in state else zeros
        memory = state["cell"][depth] if "cell" in state else zeros
        sequence, hidden, memory = layer(cell, gates, sequence, hidden, memory)
        hiddens.append(hidden)
        memories.append(memory)
    final = {"hidden": np.stack(hiddens)}
    if cell == "lstm":
        final["cell"] = np.stack(memories)
    return Encoded(sequence, sequence[-1], final, None)


def encode_both_ways(cell: str, weights: Weights, sequence: Array) -> Encoded:
    """A bidirectional stack over (time, features); each layer reads both directions' outputs."""
    last = np.zeros(0)
    for weights_here in layers(weights):
        ways = [gates_of(weights_here, cell, direction) for direction in ("", "_reverse")]
        zeros = np.zeros(ways[0][min(ways[0])].w_h.shape[0])
        onward, end, _ = layer(cell, ways[0], sequence, zeros, zeros)
        back, beginning, _ = layer(cell, ways[1], sequence[::-1], zeros, zeros)
        sequence = np.concatenate([onward, back[::-1]], axis=1)
        last = np.concatenate([end, beginning])
    return Encoded(sequence, last, {}, None)
