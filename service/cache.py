"""Answers kept for requests that come again exactly: opt-in, bounded in bytes, least used out."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.graphs.model import Result
from service.manifest import Manifest, Precision
from service.telemetry.metrics import CacheMetrics

ENTRY_BYTES, RESULT_BYTES = 400, 300
"""What Python needs for one entry and for each result in it, beside the arrays' values."""


class ResultCache:
    """Results by what was computed from: model, version, graph and the very bytes of the input.

    Used on the event loop only. Two requests for the same at the same time both compute.

    Args:
        max_bytes: Held at most, Python's own overhead included.
        metrics: Counts hits and misses.
    """

    def __init__(self, max_bytes: int, metrics: CacheMetrics) -> None:
        self._max_bytes = max_bytes
        self._metrics = metrics
        self._entries: OrderedDict[bytes, tuple[list[Result], int]] = OrderedDict()
        self._bytes = 0

    def get(self, key: bytes) -> list[Result] | None:
        """What was put for this key, if it is still held."""
        entry = self._entries.get(key)
        self._metrics.asked(hit=entry is not None)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: bytes, results: Sequence[Result]) -> None:
        """Hold a copy of these results, in place of what was used least lately."""
        size = ENTRY_BYTES + sum(map(_size, results))
        if size > self._max_bytes:
            return
        if key in self._entries:
            self._bytes -= self._entries.pop(key)[1]
        while self._bytes + size > self._max_bytes:
            self._bytes -= self._entries.popitem(last=False)[1][1]
        # copies: an engine's arrays may be views that hold a whole batch's memory
        self._entries[key] = [_copy(result) for result in results], size
        self._bytes += size
        self._metrics.holds(self._bytes)


def cache_key(
    manifest: Manifest, precision: Precision, sequences: Sequence[NDArray[np.float32]]
) -> bytes:
    """A hash of everything that the results depend on.

    Args:
        manifest: Of the model that computes.
        precision: That it computes with.
        sequences: float32 (time_i, features) each.
    """
    digest = hashlib.blake2b(digest_size=32)
    variant = manifest.variants.get(precision) if precision != "fp32" else None
    graph = (variant or manifest).sha256
    identity = (manifest.name, manifest.version, graph, precision, len(sequences))
    digest.update(repr(identity).encode())
    for sequence in sequences:
        digest.update(repr(sequence.shape).encode())
        digest.update(np.ascontiguousarray(sequence).data)
    return digest.digest()


def _size(result: Result) -> int:
    weights = 0 if result.weights is None else result.weights.nbytes
    return RESULT_BYTES + result.logits.nbytes + weights


def _copy(result: Result) -> Result:
    return Result(result.logits.copy(), None if result.weights is None else result.weights.copy())
