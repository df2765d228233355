"""When requests under way run out of time: one timer of the event loop for all of them.

A timer a request would be made and cancelled thousands of times a second, and hardly ever ring.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from service import native


class Deadlines:
    """Watches the deadlines of jobs; used on the event loop alone.

    Args:
        engine: Whose jobs.
        on_late: Called with each that the engine let go of because its deadline has passed.
    """

    def __init__(self, engine: native.Engine, on_late: Callable[[native.Job], None]) -> None:
        self._engine = engine
        self._on_late = on_late
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._next_s = math.inf  # when the timer rings, by time.perf_counter

    def watch(self, job: native.Job, loop: asyncio.AbstractEventLoop) -> None:
        """Watch this job, which is under way, too; `loop` is the one that runs."""
        if loop is not self._loop:
            self._loop, self._next_s = loop, math.inf
        if job.deadline_s < self._next_s:
            self._ring_at(job.deadline_s)

    def _ring_at(self, when_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next_s = when_s
        delay_s = max(when_s - time.perf_counter(), 0.0)
        assert self._loop is not None, "a job is watched"
        self._timer = self._loop.call_later(delay_s, self._look)

    def _look(self) -> None:
        self._timer, self._next_s = None, math.inf
        for job in self._engine.expire(time.perf_counter()):
            self._on_late(job)
        next_s = self._engine.next_deadline_s
        if next_s < self._next_s:
            self._ring_at(next_s)
