"""Texts that run together, and the batch that their state lies in."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from service.graphs.decoders.states import States, gather
from service.schedulers.decoding.generation import Generation, Group
from service.schedulers.decoding.job import Turn


def alike(turns: list[Turn]) -> Iterable[list[Turn]]:
    """Those that feed about as many tokens: less than twice as many as each other."""
    sizes = [len(turn.generation.pieces[0]) for turn in turns]
    if max(sizes, default=1) == 1:
        return [turns] if turns else []
    by_size: dict[int, list[Turn]] = {}
    for turn, size in zip(turns, sizes, strict=True):
        by_size.setdefault(size.bit_length(), []).append(turn)
    return by_size.values()


def padded(rows: list[list[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tokens as one batch (rows, longest), zero past each; how long each is."""
    lengths = list(map(len, rows))
    longest = max(lengths)
    if longest == min(lengths):
        return np.array(rows, dtype=np.int64), np.array(lengths, dtype=np.int64)
    tokens = np.zeros((len(rows), longest), dtype=np.int64)
    for row, values in zip(tokens, rows, strict=True):
        row[: len(values)] = values
    return tokens, np.array(lengths, dtype=np.int64)


def place(group: Group, generations: list[Generation]) -> None:
    """Note where the state of each now lies."""
    first = 0
    for generation in generations:
        generation.group = group
        generation.first = first
        generation.parents = None
        first += len(generation.pieces)


def group_of(generations: list[Generation]) -> Group:
    """The batch of these texts' states: as it is, if it is of just them, else gathered."""
    groups = [it.group for it in generations]
    serials = [it.serial for it in generations]
    whole = groups[0]
    assert whole is not None
    is_one = groups.count(whole) == len(groups)
    if is_one and whole.serials == serials and not whole.has_moved:
        return whole
    parts: list[tuple[States, NDArray[np.int64]]] = []
    start = 0
    for stop in range(1, len(groups) + 1):
        if stop < len(groups) and groups[stop] is groups[start]:
            continue
        group = groups[start]
        assert group is not None, "what runs has begun"
        parts.append((group.states, np.concatenate([it.rows() for it in generations[start:stop]])))
        start = stop
    group = Group(gather(parts), serials)
    place(group, generations)
    return group
