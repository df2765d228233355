"""What the engine found for one request, put together for its answer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.codec.tensors import all_finite
from service.graphs.model import Result

VALUES_AT_ONCE = 16_384
"""Written into an answer on the event loop: about 0.4 ms; larger ones are written in a thread."""


class Results(NamedTuple):
    """The answers to a request's sequences, in their order."""

    logits: NDArray[np.float32]  # (batch, classes)
    weights: list[NDArray[np.float32] | None]  # (time_i,) each; None where the model has none

    @classmethod
    def of(cls, found: list[Result]) -> Results:
        """Those of the engine."""
        if len(found) == 1:
            logits, weights = found[0]
            return cls(logits[None], [weights])
        logits = np.stack([result.logits for result in found])
        return cls(logits, [result.weights for result in found])

    @property
    def num_values(self) -> int:
        """Of all arrays."""
        return self.logits.size + sum(row.size for row in self.weights if row is not None)

    def first_not_finite(self) -> int | None:
        """The first row with logits that are no finite number."""
        if all_finite(self.logits):
            return None
        return int(np.isfinite(self.logits).all(axis=1).argmin())
