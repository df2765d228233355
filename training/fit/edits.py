"""How far sequences of labels are from those that were expected."""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein


def distances(found: Sequence[Sequence[int]], expected: Sequence[Sequence[int]]) -> list[int]:
    """Insertions, deletions and substitutions in each sequence.

    Raises:
        ValueError: There are not as many sequences.
    """
    pairs = zip(found, expected, strict=True)
    return [Levenshtein.distance(mine, theirs) for mine, theirs in pairs]


def error_rate(found: Sequence[Sequence[int]], expected: Sequence[Sequence[int]]) -> float:
    """Insertions, deletions and substitutions, a label expected; may exceed 1.

    Raises:
        ValueError: Nothing is expected, or there are not as many sequences.
    """
    errors = sum(distances(found, expected))
    if not (labels := sum(map(len, expected))):
        raise ValueError("no labels are expected: no error rate")
    return errors / labels
