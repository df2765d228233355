"""A place in which one thread computes: what it runs, and whether it hangs."""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections.abc import Sequence

from service import native
from service.graphs.runs import Runs
from service.schedulers.scheduler import Scheduler

Taken = tuple[native.Scheduler, native.Run]


@dataclasses.dataclass(eq=False)
class Place:
    """One thread's; another thread takes over if a run of it hangs."""

    index: int
    thread: threading.Thread = dataclasses.field(init=False)
    runs: Runs = dataclasses.field(default_factory=Runs)
    taken: Taken | None = None
    hung: Scheduler | None = None
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)


def join(places: Sequence[Place], timeout_s: float) -> bool:
    """Wait until the threads have ended; false if the time is over before."""
    stop_s = time.monotonic() + timeout_s
    for place in places:
        left_s = stop_s - time.monotonic()
        place.thread.join(max(left_s, 0.0) if math.isfinite(left_s) else None)
    return not any(place.thread.is_alive() for place in places)
