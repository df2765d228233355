"""How long a sequence a model is to accept, by the data that it was learnt from and scored on."""

from __future__ import annotations

from collections.abc import Iterable

LENGTH_MARGIN = 4
"""A model accepts sequences this many times as long as the longest that it learned from."""


def longest_accepted(
    learnt: Iterable[int],
    others: Iterable[int] = (),
    at_least: int = 1,
    margin: float = LENGTH_MARGIN,
) -> int:
    """Steps at most: some times what was learnt from, and never less than any part's longest.

    What was scored must be answered too when it is served.

    Args:
        learnt: Lengths of the training part's sequences, one at least.
        others: Of the other parts'.
        at_least: That many in any case.
        margin: How many times.
    """
    return max(at_least, round(margin * max(learnt)), *others)
