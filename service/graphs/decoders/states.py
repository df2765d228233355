"""What a decoder holds between the steps of a batch: state, cache and memory."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.graphs.decoders.decoder import CacheSpec, DecoderSpec
from service.graphs.model import Arrays

GRAIN = 16  # entries by which a cache grows, at least
WINDOW_SLACK = 64  # entries past a window, until the oldest are dropped

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

_new_memory = itertools.count()


class States:
    """Of each row of a batch, in arrays that can be fed as they are.

    Args:
        spec: Of the decoder.
        state: In the spec's order, each (rows, *shape).
        cache: (rows, room, width), each row's own entries from the left; without: no columns.
        cache_lengths: (rows,), entries of each.
        memory: (rows, source, width); without: no columns.
        memory_lengths: (rows,).
        memory_ids: (rows,), the same for rows with the same memory.
    """

    def __init__(
        self,
        spec: DecoderSpec,
        state: list[Floats],
        cache: Floats,
        cache_lengths: Integers,
        memory: Floats,
        memory_lengths: Integers,
        memory_ids: Integers,
    ) -> None:
        self.spec = spec
        self.state = state
        self.cache = cache
        self.cache_lengths = cache_lengths
        self.memory = memory
        self.memory_lengths = memory_lengths
        self.memory_ids = memory_ids

    @classmethod
    def begin(
        cls, spec: DecoderSpec, num_rows: int, encoded: Arrays, lengths: Integers | None = None
    ) -> States:
        """Those of rows that have not run at all.

        Args:
            spec: Of the decoder.
            num_rows: How many.
            encoded: What the encoder gave; empty without one.
            lengths: Of the encoder's sources.
        """
        state = [
            encoded.get(it.input, np.full((num_rows, *it.shape), it.initial, dtype=np.float32))
            for it in spec.state
        ]
        none = np.zeros(num_rows, dtype=np.int64)
        memory = np.zeros((num_rows, 0, 0), dtype=np.float32)
        if spec.memory:
            memory = encoded[spec.memory.name]
        ids = np.fromiter(itertools.islice(_new_memory, num_rows), np.int64, num_rows)
        width = spec.cache.width if spec.cache else 0
        cache = np.zeros((num_rows, GRAIN, width), dtype=np.float32)
        return cls(spec, state, cache, none, memory, none if lengths is None else lengths, ids)

    @property
    def num_rows(self) -> int:
        """Rows."""
        return len(self.cache)

    def feed(self) -> Arrays:
        """By the graph's input names."""
        spec = self.spec
        feed: Arrays = {it.input: held for it, held in zip(spec.state, self.state, strict=True)}
        if cache := spec.cache:
            feed |= {cache.input: self.cache, cache.lengths: self.cache_lengths}
        if memory := spec.memory:
            feed |= {memory.name: self.memory, memory.lengths: self.memory_lengths}
        return feed

    def after(self, outputs: Arrays, counts: Integers) -> States:
        """What is held after a run of these; the cache goes over to it.

        Args:
            outputs: Of the run.
            counts: (rows,), steps of each.
        """
        spec = self.spec
        state = [outputs[it.output] for it in spec.state]
        cache, lengths = self.cache, self.cache_lengths
        if spec.cache:
            cache, lengths = _appended(spec.cache, cache, lengths, outputs, counts)
        return States(
            spec, state, cache, lengths, self.memory, self.memory_lengths, self.memory_ids
        )


def gather(parts: Sequence[tuple[States, Integers]]) -> States:
    """Rows of several batches as one.

    Args:
        parts: At least one; which rows of each batch, in order.
    """
    if len(parts) == 1:
        return _picked(*parts[0])
    spec = parts[0][0].spec
    cache_lengths = np.concatenate([held.cache_lengths[rows] for held, rows in parts])
    memory_lengths = np.concatenate([held.memory_lengths[rows] for held, rows in parts])
    return States(
        spec,
        [
            np.concatenate([held.state[index][rows] for held, rows in parts])
            for index in range(len(spec.state))
        ],
        _joined([(held.cache, rows) for held, rows in parts], _room(cache_lengths)),
        cache_lengths,
        _joined([(held.memory, rows) for held, rows in parts], int(memory_lengths.max())),
        memory_lengths,
        np.concatenate([held.memory_ids[rows] for held, rows in parts]),
    )


def _picked(held: States, rows: Integers) -> States:
    cache_lengths, memory_ids = held.cache_lengths[rows], held.memory_ids[rows]
    memory, memory_lengths = held.memory, held.memory_lengths
    if not np.array_equal(memory_ids, held.memory_ids):  # as within a beam, where they are alike
        memory_lengths = memory_lengths[rows]
        memory = memory[rows, : int(memory_lengths.max())]
    return States(
        held.spec,
        [state[rows] for state in held.state],
        _joined([(held.cache, rows)], _room(cache_lengths)),
        cache_lengths,
        memory,
        memory_lengths,
        memory_ids,
    )


def _room(lengths: Integers) -> int:
    """Entries to make room for: some more than there are, in proportion."""
    longest = int(lengths.max())
    return -(-(longest + longest // 8 + 1) // GRAIN) * GRAIN


def _joined(parts: Sequence[tuple[Floats, Integers]], num_columns: int) -> Floats:
    """Rows of several arrays (rows, columns, width), cut or filled up with zeros."""
    num_rows = sum(len(rows) for _, rows in parts)
    joined = np.zeros((num_rows, num_columns, parts[0][0].shape[2]), dtype=np.float32)
    start = 0
    for array, rows in parts:
        columns = min(num_columns, array.shape[1])
        joined[start : start + len(rows), :columns] = array[rows, :columns]
        start += len(rows)
    return joined


def _appended(
    spec: CacheSpec, cache: Floats, lengths: Integers, outputs: Arrays, counts: Integers
) -> tuple[Floats, Integers]:
    """The cache with each row's new entries behind its own."""
    new = outputs[spec.output]
    longer = lengths + counts
    if spec.window is not None:
        longer = _forget_oldest(spec.window, cache, lengths, longer, counts)
        lengths = longer - counts
    if longer.max() > cache.shape[1]:
        cache = _joined([(cache, np.arange(len(cache)))], _room(longer))
    if new.shape[1] == 1:
        cache[np.arange(len(cache)), lengths] = new[:, 0]
    else:
        for row, (start, count) in enumerate(zip(lengths.tolist(), counts.tolist(), strict=True)):
            cache[row, start : start + count] = new[row, :count]
    return cache, longer


def _forget_oldest(
    window: int, cache: Floats, lengths: Integers, longer: Integers, counts: Integers
) -> Integers:
    """Move rows that have grown too long to the left; how long each is with its new entries."""
    for row in np.flatnonzero(longer > window + WINDOW_SLACK).tolist():
        kept = max(window - int(counts[row]), 0)
        start = int(lengths[row]) - kept
        cache[row, :kept] = cache[row, start : start + kept].copy()
        longer[row] = kept + int(counts[row])
    return longer
