"""When requests under way run out of time: one timer of the event loop for all of them.

A timer a request would be made and cancelled thousands of times a second, and hardly ever ring.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable

from service.schedulers.job import Job


class Deadlines:
    """Watches the deadlines of jobs; used on the event loop alone.

    Args:
        jobs: Those under way, as of each look.
        expire: Called with each whose deadline has passed; takes it from `jobs`.
    """

    def __init__(self, jobs: Iterable[Job], expire: Callable[[Job], None]) -> None:
        self._jobs = jobs
        self._expire = expire
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._next_s = math.inf  # when the timer rings, by time.perf_counter

    def add(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        """Watch this job, which is among the jobs, too; `loop` is the one that runs."""
        if loop is not self._loop:
            self._loop, self._next_s = loop, math.inf
        if job.deadline_s < self._next_s:
            self._ring_at(job.deadline_s)

    def _ring_at(self, when_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next_s = when_s
        delay_s = max(when_s - time.perf_counter(), 0.0)
        assert self._loop is not None, "a job was added"
        self._timer = self._loop.call_later(delay_s, self._look)

    def _look(self) -> None:
        self._timer, self._next_s = None, math.inf
        now_s = time.perf_counter()
        for job in [job for job in self._jobs if job.deadline_s <= now_s]:
            self._expire(job)
        next_s = min((job.deadline_s for job in self._jobs), default=math.inf)
        if next_s < math.inf:
            self._ring_at(next_s)
