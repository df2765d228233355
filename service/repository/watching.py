"""Looks at a repository's files again and again, and tells what changed from what changes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger(__name__)

S = TypeVar("S")


class Changes(Generic[S]):
    """Tells a change that is over from files that are still being written.

    A model's files changed when their stamp is another than the one that was last applied, and
    the change is over when two looks, one after the other, find the same.
    """

    def __init__(self) -> None:
        self._applied: dict[str, S] = {}
        self._seen: dict[str, S] = {}

    def applied(self, name: str, stamp: S) -> None:
        """This is what serves now."""
        self._applied[name] = self._seen[name] = stamp

    def is_over(self, name: str, stamp: S) -> bool:
        """Whether a change of this model is complete, as of this look."""
        settled = self._seen.get(name) == stamp
        self._seen[name] = stamp
        return settled and self._applied.get(name) != stamp

    def forget(self, name: str) -> None:
        """This model is gone, or is to count as changed."""
        self._applied.pop(name, None)
        self._seen.pop(name, None)


class Watcher:
    """Looks every so many seconds, in a thread of its own, whatever becomes of a look.

    Args:
        interval_s: Between two looks.
        look: Returns when it has looked.
    """

    def __init__(self, interval_s: float, look: Callable[[], None]) -> None:
        self._interval_s = interval_s
        self._look = look
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                self._look()
            except Exception:  # a bug of ours must not be the last look
                log.exception("look failed")
