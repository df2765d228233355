"""int8 arithmetic from ONNX's definitions in NumPy integers: quantise, multiply, scale.

Nothing here knows how a range comes to be fixed: it is given.
"""

from __future__ import annotations

import numpy as np

from tests.reference.recurrent import sigmoid
from tests.reference.weights import Array

Range = tuple[float, float]


def quantize_inputs(values: Array, limits: Range) -> tuple[Array, float]:
    """Values in steps of the scale, as whole numbers counted from 0; and the scale.

    QuantizeLinear to uint8, its zero point then subtracted: saturate(round(x / scale) + zero).
    """
    low, high = limits
    scale = float(np.float32((high - low) / 255))
    zero = int(np.rint(-low / scale))
    levels = np.clip(np.rint(np.float32(values) / np.float32(scale)) + zero, 0, 255)
    return levels - zero, scale


def quantize_weights(weights: Array, by_output: bool) -> tuple[Array, Array]:
    """(outputs, inputs) as whole numbers from -63 to 63, and the scale of each output."""
    scales = np.abs(weights).max(axis=1) / 63
    if not by_output:
        scales = np.full_like(scales, scales.max())
    return np.rint(weights / scales[:, None]), scales


def product(values: Array, weights: Array, limits: Range, by_output: bool = True) -> Array:
    """weights @ values, (outputs,), with both as integers."""
    levels, scale = quantize_inputs(values, limits)
    columns, scales = quantize_weights(weights, by_output)
    total = columns.astype(np.int64) @ levels.astype(np.int64)
    result: Array = total * scale * scales
    return result


def lstm(
    steps: Array, weights: tuple[Array, Array], biases: Array, limits: Range, by_output: bool
) -> Array:
    """The hidden state after each step, (time, hidden); inputs clipped to `limits`.

    Args:
        steps: (time, inputs).
        weights: (4 * hidden, inputs) and (4 * hidden, hidden), gates i, o, f, c as in ONNX.
        biases: (4 * hidden,).
        limits: Of the inputs; the hidden state's are -1 and 1.
        by_output: A scale for each row of the weights, or else one for each matrix.
    """
    size = len(biases) // 4
    hidden, memory = np.zeros(size), np.zeros(size)
    outputs = []
    for step in np.clip(steps, *limits):
        total = biases + product(step, weights[0], limits, by_output)
        total = total + product(hidden, weights[1], (-1, 1), by_output)
        i, o, f = (sigmoid(total[gate * size : (gate + 1) * size]) for gate in range(3))
        memory = f * memory + i * np.tanh(total[3 * size :])
        hidden = o * np.tanh(memory)
        outputs.append(hidden)
    return np.stack(outputs)
