"""The threads that compute, and the event loop that asks: what Python adds to `native/engine/`.

A thread waits for a run, has onnxruntime make it, and says what came out; who runs with whom, when
and for whom is settled without Python's lock. The loop is told once, however many are answered.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from service import native
from service.engine.deadlines import Deadlines
from service.engine.threads import pin_this_thread
from service.errors import DrainingError, InferenceError, InferenceTimeoutError
from service.schedulers.job import NORMAL_PRIORITY, Job
from service.schedulers.scheduler import Scheduler

log = structlog.get_logger(__name__)

Taken = tuple[native.Scheduler, native.Run]


class Engine:
    """Some threads, and the schedulers of every loaded model.

    Args:
        num_threads: Threads that compute; each runs one batch at a time.
        pin_to: Cores to keep them on, one each in turn; without any the system places them.
    """

    def __init__(self, num_threads: int, pin_to: Sequence[int] = ()) -> None:
        self.core = native.Engine(num_threads)
        self._pin_to = pin_to
        self._schedulers: dict[native.Scheduler, Scheduler] = {}
        self._loop: asyncio.AbstractEventLoop | None = None  # the one that asks
        # under way: `native/` holds a job, but not what Python has hung on it, whom to tell
        self._jobs: set[native.Job] = set()
        self._deadlines = Deadlines(self.core, self._on_late)
        self.threads = [
            threading.Thread(target=self._start, args=(index,), name=f"engine-{index}", daemon=True)
            for index in range(num_threads)
        ]
        for thread in self.threads:
            thread.start()

    def add(self, scheduler: Scheduler) -> None:
        """Run this model's batches too."""
        self._schedulers[scheduler.core] = scheduler
        self.core.add(scheduler.core, scheduler.name)

    def remove(self, scheduler: Scheduler) -> None:
        """Let no more of this model's requests in, wait until none is under way, and forget it.

        To be called by any thread but the event loop's, which ends what is under way.
        """
        if self.core.remove(scheduler.core):
            del self._schedulers[scheduler.core]

    def num_waiting(self, scheduler: Scheduler) -> int:
        """Sequences of this model that wait for their first run."""
        return self.core.num_waiting(scheduler.core)

    def fill(self, scheduler: Scheduler) -> float:
        """How full this model's queue is, from 0 to about 1: at 1 it takes nothing more."""
        return self.core.fill(scheduler.core)

    def close(self) -> None:
        """Take no new work, finish what was submitted, then end the threads."""
        self.core.close()
        for thread in self.threads:
            thread.join()

    def check_room(self, timeout_s: float) -> None:
        """Refuse what comes when not even what is there can be done in time; before it is read.

        Raises:
            OverloadedError: What is admitted will take longer than `timeout_s`.
        """
        self.core.check_room(timeout_s)

    def note_lag(self, lag_s: float) -> None:
        """Reckon with an event loop that is this late."""
        self.core.note_lag(lag_s)

    def submit(
        self,
        scheduler: Scheduler,
        asked: Any,
        timeout_s: float,
        on_done: Callable[[Job], None],
        priority: int = NORMAL_PRIORITY,
    ) -> Job:
        """Have one request run; to be called on the event loop, which never waits.

        Args:
            scheduler: Of the model.
            asked: What it makes a job of, checked.
            timeout_s: As long as it may take.
            on_done: Told on the loop, once: the job has results or failed, with InferenceError
                (the graph failed on a batch with a part of it) or InferenceTimeoutError.
            priority: 1 (first) to 3.

        Raises:
            OverloadedError: The queue is full, or the deadline can't be met.
            DrainingError: The engine is closed.
            ModelGoneError: The model was removed.
            InferenceTimeoutError: There is no time left.
        """
        if timeout_s <= 0:  # reading the request took all its time: compute nothing for it
            raise InferenceTimeoutError("the deadline passed before the request could run")
        if self.core.is_closed:
            raise DrainingError("the server is stopping")
        job = scheduler.make_job(asked, on_done, priority, timeout_s)
        self.core.submit(scheduler.core, job, timeout_s)
        self.watch(job)
        return job

    def watch(self, job: native.Job) -> None:
        """See to it that a job that was submitted is told of its end: `on_done`, on this loop."""
        self._jobs.add(job)
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            loop.add_reader(self.core.ready_fd, self.collect)
        self._deadlines.watch(job, loop)

    def cancel(self, job: native.Job) -> None:
        """Drop what of a job has not run: its caller left, and is told nothing more."""
        self.core.give_up(job)
        self._jobs.discard(job)

    def collect(self) -> None:
        """Tell the callers whose jobs are answered; on the event loop."""
        for job in self.core.collect():
            self._tell(job)

    def _on_late(self, job: native.Job) -> None:
        waited_s = job.deadline_s - job.submitted_s
        self._tell(job, InferenceTimeoutError(f"no answer within {waited_s:.3g} s"))

    def _on_failed(self, jobs: list[native.Job], failure: InferenceError) -> None:
        for job in self.core.give_up_failed(jobs):
            self._tell(job, failure)

    def _tell(self, job: native.Job, failure: Exception | None = None) -> None:
        """Tell a job's caller; what goes wrong there must not keep others from their answers."""
        self._jobs.discard(job)
        job.failure = failure
        try:
            on_done = job.on_done
            del job.on_done  # told once, and most callers hold their job: no cycle is to be left
            on_done(job)
        except Exception:
            log.exception("a caller failed on its answer")

    def _start(self, index: int) -> None:
        if self._pin_to:
            pin_this_thread(self._pin_to[index % len(self._pin_to)])
        workspace = native.Workspace()
        while (taken := self.core.next(workspace)) is not None:
            self.run(taken, workspace)
            del taken  # while it waits, a thread must not hold a model that is removed

    def run(self, taken: Taken, workspace: native.Workspace) -> None:
        """Make a run, whose tensors lie in the workspace, and say what came of it."""
        scheduler = self._schedulers[taken[0]]
        try:
            self.core.complete(taken, *scheduler.compute(taken[1], workspace))
        except Exception as error:  # noqa: BLE001 - whatever it is, the thread lives on
            self.fail(taken, error)

    def fail(self, taken: Taken, error: Exception) -> None:
        """Fail the jobs that had a sequence in a run, and no other."""
        scheduler = self._schedulers[taken[0]]
        log.error("batch failed", model=scheduler.name, version=scheduler.version, exc_info=error)
        failure = InferenceError(f"{scheduler.name} failed on this batch")
        failure.__cause__ = error
        jobs = self.core.fail(taken)
        assert self._loop is not None, "what runs was submitted on a loop"
        try:
            self._loop.call_soon_threadsafe(self._on_failed, jobs, failure)
        except RuntimeError:  # the loop is closed: nobody waits any more
            log.warning("failures without an event loop", jobs=len(jobs))
