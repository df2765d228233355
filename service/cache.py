"""Answers kept for requests that come again exactly: opt-in, bounded in bytes, least used out."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.graphs.model import Arrays
from service.repository.served import Served
from service.telemetry.parts.cache import CacheMetrics

ENTRY_BYTES, RESULT_BYTES = 400, 300
"""What Python needs for one entry and for each array in it, beside the values."""


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
        self._entries: OrderedDict[bytes, tuple[Arrays, int]] = OrderedDict()
        self._bytes = 0

    def get(self, key: bytes) -> Arrays | None:
        """What was put for this key, if it is still held."""
        entry = self._entries.get(key)
        self._metrics.asked(hit=entry is not None)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: bytes, results: Arrays) -> None:
        """Hold a copy of these results, in place of what was used least lately."""
        size = ENTRY_BYTES + sum(RESULT_BYTES + array.nbytes for array in results.values())
        if size > self._max_bytes:
            return
        if key in self._entries:
            self._bytes -= self._entries.pop(key)[1]
        while self._bytes + size > self._max_bytes:
            self._bytes -= self._entries.popitem(last=False)[1][1]
        # copies: an engine's arrays may be views that hold a whole batch's memory
        self._entries[key] = {name: array.copy() for name, array in results.items()}, size
        self._bytes += size
        self._metrics.holds(self._bytes)


def cache_key(served: Served, work: Sequence[NDArray[Any]] | Arrays) -> bytes:
    """A hash of everything that the results depend on.

    Args:
        served: What computes.
        work: Sequences (time_i, ...), or tensors by name.
    """
    digest = hashlib.blake2b(digest_size=32)
    identity = (served.name, served.version, served.sha256, served.precision, len(work))
    digest.update(repr(identity).encode())
    named = work.items() if isinstance(work, dict) else enumerate(work)
    for name, array in sorted(named):
        digest.update(repr((name, array.shape, array.dtype.str)).encode())
        if array.dtype.hasobject:  # of strings
            digest.update(msgspec.msgpack.encode(array.ravel().tolist()))
        else:
            digest.update(np.ascontiguousarray(array).data)
    return digest.digest()
