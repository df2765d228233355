"""A validation part for sets that come without one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, TypeVar

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
    check_share(share)
    count = max(1, round(share * len(items)))
    if count >= len(items):
        raise ValueError(f"{len(items)} training items are too few to validate on a part of them")
    return _part(items, set(np.random.default_rng(0).permutation(len(items))[:count].tolist()))


def hold_out_of_each(
    items: Sequence[T], share: float, labels: Sequence[Any], seed: int = 0
) -> tuple[list[T], list[T]]:
    """As `hold_out`, of every label by itself: at least one of each, and never its only one.

    Args:
        items: In an order that stays the same.
        share: Over 0 and under 1, of each label.
        labels: One an item; of a kind that can be sorted.
        seed: Of what is drawn.
    Raises:
        ValueError: No label has two items, or no such share.
    """
    check_share(share)
    places: dict[Any, list[int]] = defaultdict(list)
    for place, label in enumerate(labels):
        places[label].append(place)
    random = np.random.default_rng(seed)
    held: set[int] = set()
    for label in sorted(places):
        members = random.permutation(places[label])
        count = min(max(1, round(share * len(members))), len(members) - 1)
        held.update(members[:count].tolist())
    if not held:
        raise ValueError("no label has two items to learn from: nothing to validate on")
    return _part(items, held)


def check_share(share: float) -> None:
    """Raises: ValueError: It is not a part of what there is."""
    if not 0 < share < 1:
        raise ValueError(f"a share of {share} is not over 0 and under 1")


def _part(items: Sequence[T], held: set[int]) -> tuple[list[T], list[T]]:
    """What is left, and what is held."""
    parts: tuple[list[T], list[T]] = ([], [])
    for place, item in enumerate(items):
        parts[place in held].append(item)
    return parts
