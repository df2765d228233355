"""Which steps an answer hangs on, seen by taking them away.

Occlusion sensitivity (Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks",
2014), along time: of each window of steps in turn nothing is left, and what that takes from the
probability of the label is the window's importance. It needs nothing of a model but its answers, so
it is how families without attention are explained. The occluded copies are sequences like others,
batched with whatever else runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidRequestError

MAX_WINDOWS = 16
"""Of one sequence; each costs as much as the sequence itself."""
MAX_EXPLAINED = 8
"""Sequences of one request."""

S = TypeVar("S")


def windows_of(length: int) -> list[slice]:
    """Windows of one size that cover so many steps; the last may be shorter."""
    size = max(1, -(-length // MAX_WINDOWS))
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


def with_occluded(
    sequences: Sequence[S], max_length: int, occlude: Callable[[S, slice], S]
) -> list[S]:
    """Sequences, then the occluded copies of each, in order.

    Args:
        sequences: Anything with a length.
        max_length: Of longer ones, which the model refuses, nothing is made.
        occlude: Makes a copy without what is in a window.

    Raises:
        InvalidRequestError: They are too many.
    """
    if len(sequences) > MAX_EXPLAINED:
        raise InvalidRequestError(
            f"one request may have {MAX_EXPLAINED} sequences explained, not {len(sequences)}: "
            f"each is answered {MAX_WINDOWS} times more",
            "explain",
        )
    lengths = [len(sequence) for sequence in sequences]  # type: ignore[arg-type]
    occluded = [
        occlude(sequence, window)
        for sequence, length in zip(sequences, lengths, strict=True)
        if length <= max_length
        for window in windows_of(length)
    ]
    return [*sequences, *occluded]


def importances(
    probabilities: NDArray[np.float64], lengths: Sequence[int]
) -> list[NDArray[np.float64]]:
    """What each step's window takes from the probability of its sequence's label.

    Args:
        probabilities: (sequences + copies, classes), as `with_occluded` ordered them.
        lengths: Steps of each sequence.
    Returns:
        (time,) of each sequence: -1 to 1, all steps of a window alike.
    """
    found = []
    next_copy = len(lengths)
    for whole, length in zip(probabilities, lengths, strict=False):
        label = whole.argmax()
        importance = np.zeros(length)
        for window in windows_of(length):
            importance[window] = whole[label] - probabilities[next_copy, label]
            next_copy += 1
        found.append(importance)
    return found
