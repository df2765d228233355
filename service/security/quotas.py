"""Each key's quota, which all processes of a server count together."""

from __future__ import annotations

import math
import mmap
import os
import struct
import time
from hashlib import sha256
from pathlib import Path

from service import native
from service.errors import ConcurrencyLimitedError, RateLimitedError
from service.security.keys import Key

WORD_BYTES = struct.calcsize("=q")


class Quotas:
    """The quotas of all keys.

    Where PROMETHEUS_MULTIPROC_DIR names the folder in which a server's workers count together, the
    quotas are files of it, too; else they are this process's own.

    Args:
        process: Which of the server's processes this is.
        num_processes: All of them.
    """

    def __init__(self, process: int, num_processes: int) -> None:
        shared = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        self._folder = Path(shared) if shared and num_processes > 1 else None
        self._process, self._num_processes = process, num_processes
        self._words: dict[str, mmap.mmap] = {}  # by the key's name

    def of(self, key: Key) -> Quota | None:
        """A key's quota; None if it may do as much as it likes."""
        if key.requests_per_s is None and key.max_concurrent is None:
            return None
        rate = key.requests_per_s or 0.0
        burst = key.burst or max(math.floor(rate), 1)
        return Quota(
            key.name,
            native.Quota(
                words=self._words_of(key.name),
                num_processes=self._num_processes,
                process=self._process,
                requests_per_s=rate,
                burst=burst,
                max_concurrent=key.max_concurrent or 0,
            ),
        )

    def _words_of(self, name: str) -> mmap.mmap:
        """Memory that outlives the file's changes, as requests do that are under way."""
        if name not in self._words:
            size = WORD_BYTES * (1 + self._num_processes)
            words = self._words[name] = self._map(name, size)
            own = WORD_BYTES * (1 + self._process)  # what a dead process in this place had
            words[own : own + WORD_BYTES] = bytes(WORD_BYTES)
        return self._words[name]

    def _map(self, name: str, size: int) -> mmap.mmap:
        if self._folder is None:
            return mmap.mmap(-1, size)
        path = self._folder / f"quota-{sha256(name.encode()).hexdigest()}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(descriptor, size)
            return mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)


class Quota:
    """One key's.

    Args:
        name: Of the key.
        core: What counts.
    """

    def __init__(self, name: str, core: native.Quota) -> None:
        self._name = name
        self._core = core

    def take(self) -> None:
        """Count a request that begins.

        Raises:
            RateLimitedError: It came too soon.
            ConcurrencyLimitedError: Too many are under way.
        """
        wait_ns = self._core.take(time.monotonic_ns())
        if wait_ns is None:
            raise ConcurrencyLimitedError(f"key {self._name} has as much under way as it may")
        if wait_ns:
            raise RateLimitedError(
                f"key {self._name} asks more often than it may",
                retry_after_s=math.ceil(wait_ns / 1e9),
            )

    def leave(self) -> None:
        """Count one that is over."""
        self._core.leave()
