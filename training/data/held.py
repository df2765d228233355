"""A validation part for sets that come without one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def hold_out(items: Sequence[T], share: float) -> tuple[list[T], list[T]]:
    """What is left to learn from, and a share drawn at random, the same at every call.

    Args:
        items: In an order that stays the same.
        share: Over 0 and under 1; at least one item is held.
    Raises:
        ValueError: There is one item only, or no such share.
    """
    if not 0 < share < 1:
        raise ValueError(f"validation_share {share} is not over 0 and under 1")
    count = max(1, round(share * len(items)))
    if count >= len(items):
        raise ValueError(f"{len(items)} training items are too few to validate on a part of them")
    held = set(np.random.default_rng(0).permutation(len(items))[:count].tolist())
    parts: tuple[list[T], list[T]] = ([], [])
    for place, item in enumerate(items):
        parts[place in held].append(item)
    return parts
