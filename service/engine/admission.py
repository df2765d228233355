"""Who is let in: what the queues hold, and whether a request's deadline can be met at all.

Used on the event loop alone, so that a refusal needs no lock and costs next to nothing. After
Gujarati et al., "Serving DNNs like clockwork", OSDI 2020: a request that its own estimate says
will be late is refused at once, and takes no time from those that can be in time.
"""

from __future__ import annotations

import math
import time

from service.errors import OverloadedError
from service.schedulers.bounds import Bounds
from service.schedulers.job import Job
from service.schedulers.scheduler import Scheduler

RATE_WINDOW_S = 0.1
RATE_WEIGHT = 0.2
LAG_KEPT = 0.5  # of one look at the lag for the next
CAUTION = 1.5  # what is admitted still waits for the event loop, and for what is due before it


class Backlog:
    """All admitted work that is not answered yet, and how fast it is worked off.

    Args:
        num_threads: Seconds of computing done in a second, until it was measured.
    """

    def __init__(self, num_threads: int) -> None:
        self._most = float(max(num_threads, 1))
        self._rate = self._most
        self._work_s = 0.0
        self._done_s = 0.0
        self._since_s = 0.0
        self._lag_s = 0.0

    @property
    def wait_s(self) -> float:
        """How long what is there will take, with some caution, and the event loop's lag."""
        return CAUTION * max(self._work_s, 0.0) / self._rate + self._lag_s

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there."""
        return self._work_s <= 0.0

    def note_lag(self, lag_s: float) -> None:
        """What comes has waited about so long for the event loop, and so will its answer."""
        self._lag_s = 2.0 * max(lag_s, LAG_KEPT * self._lag_s / 2.0)

    def add(self, work_s: float) -> None:
        """So much more came."""
        if self._work_s <= 1e-9:
            self._since_s, self._done_s = time.perf_counter(), 0.0
        self._work_s += work_s

    def remove(self, work_s: float, done: bool) -> None:
        """So much is over with; `done` if it was computed, not dropped."""
        self._work_s -= work_s
        if done:
            self._done_s += work_s
        if self._work_s <= 1e-9:  # idle times are no measure of how fast it can be
            self._work_s, self._since_s, self._done_s = 0.0, time.perf_counter(), 0.0
            return
        elapsed_s = time.perf_counter() - self._since_s
        if elapsed_s > RATE_WINDOW_S:
            rate = min(max(self._done_s / elapsed_s, 0.05 * self._most), 2.0 * self._most)
            self._rate += RATE_WEIGHT * (rate - self._rate)
            self._since_s, self._done_s = time.perf_counter(), 0.0


class Admission:
    """One model's door.

    Args:
        scheduler: Of the model.
        backlog: Of all models.
    """

    def __init__(self, scheduler: Scheduler, backlog: Backlog) -> None:
        self._scheduler = scheduler
        self._bounds: Bounds = scheduler.bounds
        self._backlog = backlog
        self.num_sequences = 0
        """Under way: waiting or running."""
        self._num_cells = 0

    def enter(self, job: Job, timeout_s: float) -> None:
        """Let a request in, or not.

        Raises:
            OverloadedError: The queue has no room for it, or it can't be answered in time.
        """
        name = self._scheduler.model.manifest.name
        cost = self._scheduler.cost
        work_s = cost.work_s(job.num_cells)
        wait_s = self._backlog.wait_s
        expected_s = wait_s + work_s
        count, cells = len(job.sequences), job.num_cells
        free = self._bounds.max_queue_size - self.num_sequences
        free_cells = self._bounds.max_queue_cells - self._num_cells
        if count > free:
            raise OverloadedError(
                f"the queue of {name} is full: {count} sequences came, {free} of "
                f"{self._bounds.max_queue_size} places are free",
                retry_after_s=math.ceil(wait_s),
            )
        if cells > free_cells and self._num_cells:
            raise OverloadedError(
                f"the queue of {name} is full: {cells} steps came, there is room for {free_cells} "
                f"of {self._bounds.max_queue_cells}",
                retry_after_s=math.ceil(wait_s),
            )
        if expected_s > timeout_s and not self._backlog.is_empty:
            raise OverloadedError(
                f"{name} would answer in about {expected_s:.3g} s, the deadline is in "
                f"{timeout_s:.3g} s",
                retry_after_s=math.ceil(expected_s - timeout_s),
            )
        job.expect(work_s)
        self.num_sequences += count
        self._num_cells += cells
        self._backlog.add(work_s)

    def leave(self, job: Job, done: bool) -> None:
        """A request that was let in is answered (`done`), or will never be."""
        self.num_sequences -= len(job.sequences)
        self._num_cells -= job.num_cells
        self._backlog.remove(job.work_s, done)
