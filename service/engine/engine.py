"""The threads that compute: they take batches from every model's scheduler in turn.

The event loop only submits jobs and is told, once a run, which of them are answered.
"""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import structlog
from numpy.typing import NDArray

from service.engine.job import Job, Result
from service.engine.scheduler import Batch, Scheduler
from service.errors import DrainingError, InferenceError, InferenceTimeoutError

log = structlog.get_logger(__name__)


class Engine:
    """One lock, some threads, and the schedulers of every loaded model.

    Args:
        num_threads: Threads that compute; each runs one batch at a time.
    """

    def __init__(self, num_threads: int) -> None:
        self._work = threading.Condition()
        self._schedulers: list[Scheduler] = []
        self._turn = 0
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run, name=f"engine-{index}", daemon=True)
            for index in range(num_threads)
        ]
        for thread in self._threads:
            thread.start()

    def add(self, scheduler: Scheduler) -> None:
        """Run this model's batches too."""
        with self._work:
            self._schedulers.append(scheduler)

    def close(self) -> None:
        """Take no new work, finish what was submitted, then end the threads."""
        with self._work:
            self._closed = True
            self._work.notify_all()
        for thread in self._threads:
            thread.join()

    async def predict(
        self, scheduler: Scheduler, sequences: list[NDArray[np.float32]], timeout_s: float
    ) -> list[Result]:
        """Run one request's sequences and wait for their results, in order.

        Cancelling this call drops what has not run yet.

        Raises:
            OverloadedError: The queue is full.
            DrainingError: The engine is closed.
            InferenceTimeoutError: `timeout_s` passed.
            InferenceError: The graph failed on a batch with one of these sequences.
        """
        if timeout_s <= 0:  # reading the request took all its time: compute nothing for it
            raise InferenceTimeoutError("the deadline passed before the request could run")
        job = Job(sequences, asyncio.get_running_loop().create_future())
        with self._work:
            if self._closed:
                raise DrainingError("the server is stopping")
            scheduler.submit(job)
            self._work.notify(len(sequences))
        try:
            return await asyncio.wait_for(job.future, timeout_s)
        except TimeoutError:
            raise InferenceTimeoutError(f"no answer within {timeout_s:g} s") from None

    def _run(self) -> None:
        while True:
            with self._work:
                while (taken := self._take()) is None:
                    if self._closed:
                        return
                    self._work.wait()
            scheduler, batch = taken
            try:
                outputs = scheduler.compute(batch)
            except Exception as error:
                manifest = scheduler.model.manifest
                log.exception("batch failed", model=manifest.name, version=manifest.version)
                failure = InferenceError(f"{manifest.name} failed on this batch")
                failure.__cause__ = error
                with self._work:
                    settled = scheduler.fail(batch, failure)
            else:
                with self._work:
                    settled = scheduler.complete(batch, outputs)
            if settled:
                _hand_over(settled)

    def _take(self) -> tuple[Scheduler, Batch] | None:
        """The next batch, of the first model after the last one's turn that has any."""
        for offset in range(len(self._schedulers)):
            index = (self._turn + offset) % len(self._schedulers)
            if (batch := self._schedulers[index].take()) is not None:
                self._turn = index + 1
                return self._schedulers[index], batch
        return None


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
