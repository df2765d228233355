"""How late the event loop is: the wait of a callback that is ready to run."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

INTERVAL_S = 0.1


class LoopLag:
    """A thread that now and then asks the running loop for a callback, and times its coming.

    A timer of the loop itself would not do: its own resolution is a millisecond.

    Args:
        observe: Told each lag in seconds, on the loop.
    """

    def __init__(self, observe: Callable[[float], None]) -> None:
        self._observe = observe
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._came = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loop-lag", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ask no more."""
        self._stopping.set()
        self._came.set()

    def _run(self) -> None:
        while not self._stopping.wait(INTERVAL_S):
            self._came.clear()
            try:
                self._loop.call_soon_threadsafe(self._called, time.perf_counter())
            except RuntimeError:  # the loop is closed
                return
            self._came.wait()

    def _called(self, asked_s: float) -> None:
        self._observe(time.perf_counter() - asked_s)
        self._came.set()
