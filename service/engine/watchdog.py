"""Ends runs of graphs that take too long."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.graphs.runs import Runs, made_here

LOOKS = 16  # from a run's begin to its end by the watchdog
SHORTEST_S, LONGEST_S = 0.01, 1.0


@dataclasses.dataclass(eq=False)
class _Watched:
    runs: Runs
    on_hung: Callable[[int], object]
    seen: int = 0
    num_looks: int = 0


class Watchdog:
    """Looks again and again at what some threads run.

    A run's age is counted in looks, not read from a clock: while the whole process was stopped,
    nothing has hung.

    Args:
        max_hang_s: A run may take so long; infinite: as long as it likes, and nobody looks.
    """

    def __init__(self, max_hang_s: float) -> None:
        self.max_hang_s = max_hang_s
        self._interval_s = min(max(max_hang_s / LOOKS, SHORTEST_S), LONGEST_S)
        self._watched: set[_Watched] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="watchdog", daemon=True)
        if math.isfinite(max_hang_s):
            self._thread.start()

    @contextmanager
    def watching(self, runs: Runs, on_hung: Callable[[int], object]) -> Iterator[None]:
        """Within, all runs of this thread are among these, and watched.

        Args:
            runs: Of this thread.
            on_hung: Told by the watchdog's thread of the number of one that takes too long, once.
        """
        watched = _Watched(runs, on_hung)
        with self._lock:
            self._watched.add(watched)
        try:
            with made_here(runs):
                yield
        finally:
            with self._lock:
                self._watched.discard(watched)

    def close(self) -> None:
        """Look no more."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()

    def _look_on(self) -> None:
        most = math.ceil(self.max_hang_s / self._interval_s)
        while not self._closed.wait(self._interval_s):
            with self._lock:
                all_watched = list(self._watched)
            for it in all_watched:
                number = it.runs.under_way
                it.num_looks = it.num_looks + 1 if number and number == it.seen else 0
                it.seen = number
                if it.num_looks == most:
                    it.on_hung(number)
