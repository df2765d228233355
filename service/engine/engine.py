"""The threads that compute: they take the batch that is due first, of whichever model.

The event loop puts requests into an inbox and is told, once a run, which of them are answered.
It waits for no lock on the way in: the threads empty the inbox when they look for work.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from collections.abc import Sequence
from functools import partial
from queue import SimpleQueue

import numpy as np
import structlog
from numpy.typing import NDArray

from service.engine.admission import Admission, Backlog
from service.engine.batch import Batch, Workspace
from service.engine.job import NORMAL_PRIORITY, Job, Result
from service.engine.scheduler import NEVER, Scheduler
from service.engine.threads import pin_this_thread
from service.errors import (
    DrainingError,
    InferenceError,
    InferenceTimeoutError,
    OverloadedError,
)

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
                f"what waits here already takes about {wait_s:.3g} s, no request may take over "
                f"{timeout_s:.3g} s",
                retry_after_s=math.ceil(wait_s - timeout_s),
            )

    def predict(
        self,
        scheduler: Scheduler,
        sequences: list[NDArray[np.float32]],
        timeout_s: float,
        priority: int = NORMAL_PRIORITY,
    ) -> asyncio.Future[list[Result]]:
        """Have one request's sequences run; a future of their results, in order.

        To be called on the event loop. Cancelling the future drops what has not run yet.

        Raises:
            OverloadedError: The queue is full, or the deadline can't be met.
            DrainingError: The engine is closed.
            InferenceTimeoutError: `timeout_s` passed: raised if at once, else set on the future.
            InferenceError: Set on the future: the graph failed on a batch with one of them.
        """
        if timeout_s <= 0:  # reading the request took all its time: compute nothing for it
            raise InferenceTimeoutError("the deadline passed before the request could run")
        if self._closed:
            raise DrainingError("the server is stopping")
        loop = asyncio.get_running_loop()
        job = Job(sequences, loop.create_future(), priority)
        self._admissions[id(scheduler)].enter(job, timeout_s)
        timer = loop.call_later(timeout_s, _expire, job, timeout_s)
        job.future.add_done_callback(partial(self._over, scheduler, job, timer))
        self._inbox.append((scheduler, job))
        # a thread counts itself idle before it looks into the inbox a last time, so that either
        # it sees this job or it is seen here
        for _ in range(min(self._num_idle, len(sequences))):
            self._wake.put(None)
        return job.future

    def _over(
        self,
        scheduler: Scheduler,
        job: Job,
        timer: asyncio.TimerHandle,
        future: asyncio.Future[list[Result]],
    ) -> None:
        """A request is answered, or given up: on the event loop."""
        timer.cancel()
        done = not future.cancelled() and future.exception() is None
        self._admissions[id(scheduler)].leave(job, done)
        if not done:
            with self._lock:
                self._empty_inbox()
                scheduler.forget(job)

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
                _hand_over(settled)

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


def _expire(job: Job, timeout_s: float) -> None:
    if not job.future.done():
        job.future.set_exception(InferenceTimeoutError(f"no answer within {timeout_s:g} s"))


def _hand_over(jobs: list[Job]) -> None:
    """Settle jobs on the event loop that waits for them: one crossing for a whole run."""
    loop = jobs[0].future.get_loop()
    try:
        loop.call_soon_threadsafe(_settle, jobs)
    except RuntimeError:  # the loop is closed: nobody waits any more
        log.warning("answers without an event loop", jobs=len(jobs))


def _settle(jobs: list[Job]) -> None:
    for job in jobs:
        job.settle()
