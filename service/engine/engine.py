"""The threads that compute: they take the batch that is due first, of whichever model.

The event loop puts requests into an inbox and is told, once a run, which of them are answered.
It waits for no lock on the way in: the threads empty the inbox when they look for work.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue

import numpy as np
import structlog
from numpy.typing import NDArray

from service.engine.admission import Admission, Backlog
from service.engine.deadlines import Deadlines
from service.engine.threads import pin_this_thread
from service.errors import (
    DrainingError,
    InferenceError,
    InferenceTimeoutError,
    OverloadedError,
)
from service.schedulers.batch import Batch, Workspace
from service.schedulers.job import NORMAL_PRIORITY, Job
from service.schedulers.scheduler import NEVER, Scheduler

log = structlog.get_logger(__name__)


class Engine:
    """Some threads, and the schedulers of every loaded model.

    Args:
        num_threads: Threads that compute; each runs one batch at a time.
        pin_to: Cores to keep them on, one each in turn; without any the system places them.
    """

    def __init__(self, num_threads: int, pin_to: Sequence[int] = ()) -> None:
        self._pin_to = pin_to
        self._lock = threading.Lock()  # of the schedulers
        self._inbox: deque[tuple[Scheduler, Job]] = deque()
        self._busy: dict[int, Scheduler] = {}  # the schedulers that may have something to run
        self._num_idle = 0
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._closed = False
        self._backlog = Backlog(num_threads)
        self._admissions: dict[int, Admission] = {}
        self._loop: asyncio.AbstractEventLoop | None = None  # the one that asks
        self._under_way: dict[Job, Scheduler] = {}  # admitted, and not over: of the loop alone
        self._deadlines = Deadlines(self._under_way, self._expire)
        self._threads = [
            threading.Thread(target=self._start, args=(index,), name=f"engine-{index}", daemon=True)
            for index in range(num_threads)
        ]
        for thread in self._threads:
            thread.start()

    def add(self, scheduler: Scheduler) -> None:
        """Run this model's batches too."""
        self._admissions[id(scheduler)] = Admission(scheduler, self._backlog)

    def num_waiting(self, scheduler: Scheduler) -> int:
        """Sequences of this model that wait for their first run."""
        return max(self._admissions[id(scheduler)].num_sequences - scheduler.num_active, 0)

    def close(self) -> None:
        """Take no new work, finish what was submitted, then end the threads."""
        self._closed = True
        for _ in self._threads:
            self._wake.put(None)
        for thread in self._threads:
            thread.join()

    def check_room(self, timeout_s: float) -> None:
        """Refuse what comes when not even what is there can be done in time; before it is read.

        Raises:
            OverloadedError: What is admitted will take longer than `timeout_s`.
        """
        wait_s = self._backlog.wait_s
        if wait_s > timeout_s:
            raise OverloadedError(
                f"what waits here already takes longer than the {timeout_s:g} s that a request may",
                retry_after_s=math.ceil(wait_s - timeout_s),
            )

    def note_lag(self, lag_s: float) -> None:
        """Reckon with an event loop that is this late."""
        self._backlog.note_lag(lag_s)

    def submit(
        self,
        scheduler: Scheduler,
        sequences: list[NDArray[np.float32]],
        timeout_s: float,
        on_done: Callable[[Job], None],
        priority: int = NORMAL_PRIORITY,
    ) -> Job:
        """Have one request's sequences run; to be called on the event loop, which never waits.

        Args:
            scheduler: Of the model.
            sequences: float32 (time_i, features) each, checked.
            timeout_s: As long as it may take.
            on_done: Told on the loop, once: the job has results or failed, with InferenceError
                (the graph failed on a batch with one of them) or InferenceTimeoutError.
            priority: 1 (first) to 3.

        Raises:
            OverloadedError: The queue is full, or the deadline can't be met.
            DrainingError: The engine is closed.
            InferenceTimeoutError: There is no time left.
        """
        if timeout_s <= 0:  # reading the request took all its time: compute nothing for it
            raise InferenceTimeoutError("the deadline passed before the request could run")
        if self._closed:
            raise DrainingError("the server is stopping")
        job = Job(sequences, on_done, priority, timeout_s)
        self._admissions[id(scheduler)].enter(job, timeout_s)
        self._loop = asyncio.get_running_loop()
        self._under_way[job] = scheduler
        self._deadlines.add(job, self._loop)
        self._inbox.append((scheduler, job))
        # a thread counts itself idle before it looks into the inbox a last time, so that either
        # it sees this job or it is seen here
        for _ in range(min(self._num_idle, len(sequences))):
            self._wake.put(None)
        return job

    def cancel(self, job: Job) -> None:
        """Drop what of a job has not run: its caller left, and is told nothing more."""
        self._give_up(job)

    def _give_up(self, job: Job) -> bool:
        """Let go of a job before its end; False if that has come already."""
        scheduler = self._under_way.pop(job, None)
        if scheduler is None:
            return False
        job.gone = True
        self._admissions[id(scheduler)].leave(job, done=False)
        with self._lock:  # if it is in the inbox still, it is left out there
            scheduler.forget(job)
        return True

    def _expire(self, job: Job) -> None:
        if self._give_up(job):
            waited_s = job.deadline_s - job.submitted_s
            job.fail(InferenceTimeoutError(f"no answer within {waited_s:.3g} s"))
            _tell(job)

    def _settle(self, jobs: list[Job]) -> None:
        """Tell the callers, on the event loop, that their jobs are answered or failed."""
        for job in jobs:
            scheduler = self._under_way.pop(job, None)
            if scheduler is not None:
                self._admissions[id(scheduler)].leave(job, done=job.failure is None)
                _tell(job)

    def _hand_over(self, jobs: list[Job]) -> None:
        """Settle jobs on the event loop that waits for them: one crossing for a whole run."""
        assert self._loop is not None, "what runs was submitted on a loop"
        try:
            self._loop.call_soon_threadsafe(self._settle, jobs)
        except RuntimeError:  # the loop is closed: nobody waits any more
            log.warning("answers without an event loop", jobs=len(jobs))

    def _start(self, index: int) -> None:
        if self._pin_to:
            pin_this_thread(self._pin_to[index % len(self._pin_to)])
        self._run()

    def _run(self) -> None:
        workspace = Workspace()
        while (taken := self._next()) is not None:
            scheduler, batch = taken
            try:
                outputs = scheduler.compute(batch, workspace)
            except Exception as error:
                manifest = scheduler.model.manifest
                log.exception("batch failed", model=manifest.name, version=manifest.version)
                failure = InferenceError(f"{manifest.name} failed on this batch")
                failure.__cause__ = error
                with self._lock:
                    settled = scheduler.fail(batch, failure)
                    self._busy[id(scheduler)] = scheduler
            else:
                with self._lock:
                    settled = scheduler.complete(batch, outputs)
                    self._busy[id(scheduler)] = scheduler
            if settled:
                self._hand_over(settled)

    def _next(self) -> tuple[Scheduler, Batch] | None:
        """Wait for a batch; None once the engine is closed and nothing is left to run."""
        while True:
            with self._lock:
                if (taken := self._take()) is not None:
                    return taken
                self._num_idle += 1
            if not self._inbox:
                if self._closed:
                    self._wake.put(None)  # another may wait still
                    return None
                self._wake.get()
            with self._lock:
                self._num_idle -= 1

    def _take(self) -> tuple[Scheduler, Batch] | None:
        """The batch of the model whose first sequence is due first."""
        self._empty_inbox()
        while self._busy:
            scheduler = min(self._busy.values(), key=lambda scheduler: scheduler.next_due)
            if scheduler.next_due < NEVER and (batch := scheduler.take()) is not None:
                if self._num_idle and scheduler.next_due < NEVER:
                    self._wake.put(None)  # there is more than one run's worth
                return scheduler, batch
            del self._busy[id(scheduler)]
        return None

    def _empty_inbox(self) -> None:
        while self._inbox:
            scheduler, job = self._inbox.popleft()
            if not job.gone:
                scheduler.enqueue(job)
                self._busy[id(scheduler)] = scheduler


def _tell(job: Job) -> None:
    """Tell a job's caller; what goes wrong there must not keep others from their answers."""
    try:
        job.on_done(job)
    except Exception:
        log.exception("a caller failed on its answer")
