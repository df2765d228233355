"""Quantiles asked for, from those that a graph gives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def interpolate(
    outputs: NDArray[np.floating], trained: list[float], asked: list[float]
) -> NDArray[np.float64]:
    """Quantiles by straight lines between their neighbours.

    Args:
        outputs: (..., trained), the trained quantiles' values.
        trained: Ascending.
        asked: None under the first or above the last of the trained ones.
    Returns:
        float64 (..., asked).
    """
    above = np.clip(np.searchsorted(trained, asked), 1, max(len(trained) - 1, 1))
    below = above - 1
    if len(trained) == 1:
        return np.repeat(outputs.astype(np.float64), len(asked), axis=-1)
    levels = np.array(trained)
    share = (np.array(asked) - levels[below]) / (levels[above] - levels[below])
    values = outputs.astype(np.float64)
    mixed: NDArray[np.float64] = values[..., below] * (1 - share) + values[..., above] * share
    return mixed
