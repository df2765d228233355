"""Models that get nothing to run for a while, since a run of theirs hung."""

from __future__ import annotations

import dataclasses
import math
import threading
from weakref import WeakKeyDictionary

from service.schedulers.scheduler import Scheduler

LONGEST_S = 3_600.0


@dataclasses.dataclass
class _Hung:
    times: int = 0
    num_stuck: int = 0


class Quarantine:
    """Keeps requests from models until none of their runs hangs, and for some time more.

    Each time it is twice as long, up to an hour: whoever asks what hung once may ask it again.

    Args:
        first_s: How long at first.
    """

    def __init__(self, first_s: float) -> None:
        self._first_s = first_s
        self._lock = threading.Lock()
        self._hung: WeakKeyDictionary[Scheduler, _Hung] = WeakKeyDictionary()

    def begin(self, scheduler: Scheduler) -> None:
        """A run of this model hangs."""
        with self._lock:
            hung = self._hung.setdefault(scheduler, _Hung())
            hung.times += not hung.num_stuck
            hung.num_stuck += 1
            scheduler.core.quarantine(math.inf)
        scheduler.metrics.hung_runs.inc()

    def end(self, scheduler: Scheduler) -> None:
        """A run of this model hangs no more."""
        with self._lock:
            hung = self._hung[scheduler]
            hung.num_stuck -= 1
            if not hung.num_stuck:
                left_s = min(self._first_s * 2.0 ** (hung.times - 1), LONGEST_S)
                scheduler.core.quarantine(left_s)
