"""The last so many of something, in two halves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.telemetry.inputs.bins import Counts, population_stability


class Window:
    """Counts in bins over the last sequences: at most so many, at least half as many.

    Args:
        shares: That are expected, (..., bins).
        num_sequences: So many.
    """

    def __init__(self, shares: NDArray[np.float64], num_sequences: int) -> None:
        self._shares = shares
        self._half = max(num_sequences // 2, 1)
        self._before: Counts | None = None
        self._now = np.zeros(shares.shape, dtype=np.int64)
        self._num_now = 0

    def add(self, counts: Counts, num_sequences: int) -> None:
        """Count what came with so many sequences."""
        self._now += counts
        self._num_now += num_sequences
        if self._num_now >= self._half:
            self._before, self._now = self._now, np.zeros_like(self._now)
            self._num_now = 0

    def stability(self) -> NDArray[np.float64] | None:
        """The population stability index of each row; None until there are enough."""
        if self._before is None:
            return None
        return population_stability(self._before + self._now, self._shares)
