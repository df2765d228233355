"""A model's weights as named NumPy arrays, float64."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

Array = NDArray[np.float64]
Weights = dict[str, Array]

# how torch's documentation of nn.RNN, nn.LSTM and nn.GRU orders the gates in one matrix
GATES = {"rnn_tanh": "h", "rnn_relu": "h", "lstm": "ifgo", "gru": "rzn"}


class Gate(NamedTuple):
    """One gate: w_x (hidden, features), w_h (hidden, hidden), b_x and b_h (hidden,)."""

    w_x: Array
    w_h: Array
    b_x: Array
    b_h: Array


def weights_of(model: nn.Module) -> Weights:
    """Every parameter and buffer under its dotted name."""
    return {
        name: tensor.detach().double().numpy().copy() for name, tensor in model.state_dict().items()
    }


def under(weights: Weights, prefix: str) -> Weights:
    """The weights of one part of the model, their names without that part's."""
    start = f"{prefix}."
    return {name.removeprefix(start): w for name, w in weights.items() if name.startswith(start)}


def layers(weights: Weights) -> list[Weights]:
    """The weights of `layers.0`, `layers.1`, ..."""
    depths = {name.split(".")[0] for name in under(weights, "layers")}
    return [under(weights, f"layers.{depth}") for depth in range(len(depths))]


def gates_of(weights: Weights, cell: str, direction: str = "") -> dict[str, Gate]:
    """The gates of one recurrent layer by their letters; direction "" or "_reverse"."""
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    parts = [np.split(weights[f"{kind}_l0{direction}"], len(GATES[cell])) for kind in kinds]
    return {
        letter: Gate(*gate)
        for letter, gate in zip(GATES[cell], zip(*parts, strict=True), strict=True)
    }


def linear(weights: Weights, name: str, inputs: Array) -> Array:
    """W x + b for every row x of inputs (..., in): (..., out)."""
    product: Array = inputs @ weights[f"{name}.weight"].T
    return product + weights[f"{name}.bias"]
