"""What a graph is tried with: numbers of unlike kinds, and when two answers are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.datatypes import DATATYPES

TOLERANCE = 1e-4  # of the answers' scale; float32 sums in another order differ by about 1e-6
TOLERANCES = {"FP64": TOLERANCE, "FP32": TOLERANCE, "FP16": 4e-3, "BF16": 3e-2}
"""The same by datatype; all others are equal or not."""
LARGEST_ID = 1_024
"""No larger whole number is tried: what a graph makes of one may be as large as it says."""
NUDGE = 1e-6
"""Of a number: an answer that moves under it says nothing, as the order of sums moves it too."""

ORDINARY = ("normal", "whole", "shifted", "constant")
"""Kinds that are tried first; a graph may cast floats to ids, or take their logarithm."""
UNLIKE = ("large", "small", "shifted", "low", "constant", "whole")
"""Kinds that what is ordinary is put beside."""

Values = NDArray[Any]

_FLOATS: dict[str, Callable[[np.random.Generator, Sequence[int]], NDArray[np.float64]]] = {
    "normal": lambda random, shape: np.asarray(random.standard_normal(shape)),
    "whole": lambda random, shape: np.asarray(random.integers(0, 4, shape), np.float64),
    "large": lambda random, shape: np.asarray(1e3 * random.standard_normal(shape)),
    "small": lambda random, shape: np.asarray(1e-3 * random.standard_normal(shape)),
    "shifted": lambda random, shape: np.asarray(100 + random.standard_normal(shape)),
    "constant": lambda _, shape: np.ones(shape),
    "low": lambda random, shape: np.asarray(-1e3 - random.standard_normal(shape)),
}


class Range(NamedTuple):
    """The whole numbers that an input takes, both ends included."""

    low: int = 1
    high: int = 1

    def part(self, kind: str) -> Range:
        """Where numbers of this kind lie."""
        low, high = self
        middle = (low + high) // 2
        parts = {
            "large": Range(high, high),
            "small": Range(low, min(low + 1, high)),
            "shifted": Range(middle, high),
            "low": Range(low, low),
            "constant": Range(middle, middle),
        }
        return parts.get(kind, self)


def draw(
    kind: str, datatype: str, shape: Sequence[int], numbers: Range, random: np.random.Generator
) -> Values:
    """Made values of one kind.

    Args:
        kind: See `ORDINARY` and `UNLIKE`.
        datatype: Of the protocol.
        shape: Theirs.
        numbers: What whole numbers there may be.
        random: What they are drawn from.
    """
    dtype = DATATYPES[datatype]
    if datatype == "BF16":
        floats = _FLOATS[kind](random, shape).astype(np.float32)
        return (floats.view(np.uint32) >> 16).astype(np.uint16)
    if dtype.kind == "f":
        return _FLOATS[kind](random, shape).astype(dtype)
    if dtype.kind == "b":
        numbers = Range(0, 1)
    low, high = numbers.part(kind)
    whole = np.asarray(random.integers(low, high + 1, shape))
    if dtype.hasobject:
        words = np.array([chr(ord("a") + letter) for letter in range(26)], dtype=object)
        return np.asarray(words[whole % 26], dtype=dtype)
    return whole.astype(dtype)


def nudge(values: Values, datatype: str, random: np.random.Generator) -> Values:
    """The same, as far as float32 can tell; what is no float stays as it is."""
    if datatype == "BF16" or values.dtype.kind != "f":
        return values
    moved = values * (1 + NUDGE * random.standard_normal(values.shape))
    return np.asarray(moved).astype(values.dtype)


def find_range(takes: Callable[[int], bool]) -> Range:
    """What whole numbers a graph takes, from -1, 0 or 1 to the largest, `LARGEST_ID` at most.

    Args:
        takes: Whether it takes this number; 1 it does, and no more beyond one that it does not.
    """
    high = 1
    while high < LARGEST_ID and takes(2 * high):
        high *= 2
    beyond = 2 * high
    while high < LARGEST_ID and beyond - high > 1:
        middle = (high + beyond) // 2
        high, beyond = (middle, beyond) if takes(middle) else (high, middle)
    if not takes(0):
        return Range(1, high)
    return Range(-1 if takes(-1) else 0, high)


def as_numbers(values: Values, datatype: str) -> Values:
    """What can be reckoned with: of BF16, the numbers that its bits say."""
    if datatype == "BF16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values


def usual_scale(answers: Iterable[Values]) -> float:
    """How large an output usually is, 1 at most: what its smallest answers are held against."""
    sizes = [float(np.max(np.abs(_finite(values)), initial=0.0)) for values in answers]
    return min(1.0, float(np.median(sizes or [1.0])))


def are_alike(wanted: Values, found: Values, tolerance: float, scale: float = 1.0) -> bool:
    """Whether two answers are the same: NaN and infinities where the other has them too.

    Args:
        wanted: The one.
        found: The other.
        tolerance: How far numbers may differ, of the larger of their size and `scale`.
        scale: See `usual_scale`.
    """
    if wanted.shape != found.shape:
        return False
    if wanted.dtype.kind != "f":
        return bool((wanted == found).all())
    size = max(scale, float(np.max(np.abs(_finite(wanted)), initial=0.0)))
    return np.allclose(wanted, found, rtol=0.0, atol=tolerance * size, equal_nan=True)


def tell_apart(answers: Sequence[Values], tolerance: float, scale: float = 1.0) -> bool:
    """Whether an output says of unlike inputs what is unlike: else equal answers show nothing.

    NaN, infinities and what is empty say nothing.
    """
    if not answers or not answers[0].size:
        return False
    first = answers[0]
    if first.dtype.kind != "f":
        return any(not are_alike(first, other, 0.0) for other in answers[1:])
    with np.errstate(invalid="ignore"):
        return any(
            other.shape != first.shape
            or bool((np.abs(_finite(first - other)) > tolerance * scale).any())
            for other in answers[1:]
        )


def _finite(values: Values) -> Values:
    if values.dtype.kind != "f":
        return np.zeros(0)
    found: Values = values[np.isfinite(values)]
    return found
