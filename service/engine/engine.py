"""The threads that compute, and the event loop that asks: what Python adds to `native/engine/`.

A thread waits for a run, has onnxruntime make it, and says what came out; who runs with whom, when
and for whom is settled without Python's lock. The loop is told once, however many are answered.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import structlog

from service import native
from service.engine.board import Board, Running
from service.engine.deadlines import Deadlines
from service.engine.failures import failure_of
from service.engine.place import Place, Taken, join
from service.engine.quarantine import Quarantine
from service.engine.threads import pin_this_thread
from service.engine.watchdog import Watchdog
from service.errors import (
    DrainingError,
    InferenceTimeoutError,
    QuarantinedError,
    ServiceError,
)
from service.schedulers.job import NORMAL_PRIORITY, Job
from service.schedulers.scheduler import Scheduler

log = structlog.get_logger(__name__)


class Engine:
    """Some threads, and the schedulers of every loaded model.

    Args:
        num_threads: Threads that compute; each runs one batch at a time.
        pin_to: Cores to keep them on, one each in turn; without any the system places them.
        max_hang_s: A run of a graph may take so long; then it is given up, another thread takes
            the place of the one that makes it, and its model is quarantined.
        quarantine_s: How long that is, at first.
        board: Where to note what runs, for who finds this process dead; None: nowhere.
    """

    def __init__(
        self,
        num_threads: int,
        pin_to: Sequence[int] = (),
        max_hang_s: float = math.inf,
        quarantine_s: float = 60.0,
        board: Board | None = None,
    ) -> None:
        self.core = native.Engine(num_threads)
        self.watchdog = Watchdog(max_hang_s)
        self._quarantine = Quarantine(quarantine_s)
        self._board = board
        self._barred_s: dict[Running, float] = {}  # models that took workers down, and until when
        self._pin_to = pin_to
        self._schedulers: dict[native.Scheduler, Scheduler] = {}
        self._loop: asyncio.AbstractEventLoop | None = None  # the one that asks
        # under way: `native/` holds a job, but not what Python has hung on it, whom to tell
        self._jobs: set[native.Job] = set()
        self._deadlines = Deadlines(self.core, self._on_late)
        self._places: set[Place] = set()  # and those whose run hangs still
        self._starting = threading.Lock()
        for index in range(num_threads):
            self._start(index)

    def add(self, scheduler: Scheduler) -> None:
        """Run this model's batches too."""
        model = Running(scheduler.name, scheduler.version)
        if self._board is not None:
            self._board.add(scheduler.core, model)
        self._schedulers[scheduler.core] = scheduler
        if (left_s := self._barred_s.get(model, 0.0) - time.monotonic()) > 0.0:
            scheduler.core.quarantine(left_s)
        self.core.add(scheduler.core, scheduler.name)

    def remove(self, scheduler: Scheduler) -> None:
        """Let no more of this model's requests in, wait until none is under way, and forget it.

        To be called by any thread but the event loop's, which ends what is under way.
        """
        if self.core.remove(scheduler.core):
            del self._schedulers[scheduler.core]
            if self._board is not None:
                self._board.remove(scheduler.core)

    def bar(self, model: Running, seconds: float) -> None:
        """Let nothing of a model run for so long, loaded or yet to be; on the event loop."""
        self._barred_s[model] = time.monotonic() + seconds
        about = f"runs of {model.name} ended two workers within a minute"
        for scheduler in list(self._schedulers.values()):
            if (scheduler.name, scheduler.version) == model:
                left_s = max(scheduler.core.quarantine_left_s, seconds)
                scheduler.core.quarantine(left_s)
                failure = QuarantinedError(about, "name", math.ceil(seconds))
                self._on_quarantined(scheduler, failure)

    def num_waiting(self, scheduler: Scheduler) -> int:
        """Sequences of this model that wait for their first run."""
        return self.core.num_waiting(scheduler.core)

    def fill(self, scheduler: Scheduler) -> float:
        """How full this model's queue is, from 0 to about 1: at 1 it takes nothing more."""
        return self.core.fill(scheduler.core)

    @property
    def threads(self) -> list[threading.Thread]:
        """Those that take runs."""
        return [place.thread for place in self._all_places() if place.hung is None]

    def close(self, patience_s: float = math.inf) -> bool:
        """Take no new work, finish what was submitted, then end the threads.

        Args:
            patience_s: After so long what runs is ended, as nobody waits for it any more; and after
                as long again, what can't be ended is left to itself.

        Returns:
            Whether all threads have ended.
        """
        self.core.close()
        places = self._all_places()
        if not join(places, patience_s):
            for place in places:
                place.runs.end(DrainingError("the server stopped before it answered"))
            join(places, patience_s)
        self.watchdog.close()
        return not any(place.thread.is_alive() for place in places)

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
            on_done: Told on the loop, once: the job has results or failed, with InferenceError or
                UnfitTensorsError (the graph failed on a sequence of it alone),
                InferenceTimeoutError, OutOfMemoryError or QuarantinedError.
            priority: 1 (first) to 3.

        Raises:
            OverloadedError: The queue is full, or the deadline can't be met.
            DrainingError: The engine is closed.
            ModelGoneError: The model was removed.
            QuarantinedError: A run of the model hung.
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

    def _on_failed(self, jobs: list[native.Job], failure: ServiceError) -> None:
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
        place = Place(index)
        name = f"engine-{index}"
        place.thread = threading.Thread(target=self._work, args=(place,), name=name, daemon=True)
        with self._starting:
            self._places.add(place)
            place.thread.start()

    def _all_places(self) -> list[Place]:
        with self._starting:
            return list(self._places)

    def _work(self, place: Place) -> None:
        if self._pin_to:
            pin_this_thread(self._pin_to[place.index % len(self._pin_to)])
        workspace = native.Workspace()
        runs, board = place.runs, self._board
        with self.watchdog.watching(runs, partial(self._on_hung, place)):
            while runs.ended_by is None and (taken := self.core.next(workspace)) is not None:
                place.taken = taken
                if board is not None:
                    board.begin(place.index, taken[0])
                self.run(taken, workspace)
                place.taken = None
                if board is not None:
                    board.end(place.index)
                del taken  # while it waits, a thread must not hold a model that is removed
        with place.lock:
            if place.hung is not None:
                log.warning("hung run ended", model=place.hung.name, version=place.hung.version)
                self._quarantine.end(place.hung)
                with self._starting:
                    self._places.discard(place)

    def run(self, taken: Taken, workspace: native.Workspace) -> None:
        """Make a run, whose tensors lie in the workspace, and say what came of it."""
        scheduler = self._schedulers[taken[0]]
        try:
            self.core.complete(taken, *scheduler.compute(taken[1], workspace))
        except Exception as error:  # noqa: BLE001 - whatever it is, the thread lives on
            self._run_apart(taken, workspace, error)

    def _run_apart(self, taken: Taken, workspace: native.Workspace, error: Exception) -> None:
        """Make a run that failed anew, a row at a time, and fail the jobs of those that fail."""
        scheduler = self._schedulers.get(taken[0])
        if scheduler is None:  # this run was given up, and its model removed meanwhile
            return
        try:
            outputs, errors = scheduler.compute_apart(taken[1], workspace, error)
            jobs = self.core.complete_apart(taken, *outputs, list(errors))
        except Exception as again:  # noqa: BLE001 - as above
            self.fail(taken, again)
            return
        for job, reason in zip(jobs, errors.values(), strict=True):
            if job is not None:
                self._call_soon(self._on_failed, [job], failure_of(scheduler, reason))

    def fail(self, taken: Taken, error: Exception) -> None:
        """Fail the jobs that had a sequence in a run, and no other."""
        if (scheduler := self._schedulers.get(taken[0])) is not None:
            jobs = self.core.fail(taken)
            self._call_soon(self._on_failed, jobs, failure_of(scheduler, error))

    def _on_hung(self, place: Place, number: int) -> None:
        """Give a run up, of this number; on the watchdog's thread."""
        taken = place.taken
        scheduler = self._schedulers.get(taken[0]) if taken is not None else None
        if taken is None or scheduler is None:
            return
        about = f"a run of {scheduler.name} took longer than {self.watchdog.max_hang_s:g} s"
        failure = QuarantinedError(about, "name")
        with place.lock:  # the thread ends no sooner
            if not place.runs.end(failure, number):  # it did not hang after all
                return
            place.hung = scheduler
            self._quarantine.begin(scheduler)
        log.error("run hung", model=scheduler.name, version=scheduler.version, thread=place.index)
        self.core.fail(taken)  # whether or not it heeds that it is to end
        self._call_soon(self._on_quarantined, scheduler, failure)
        self._start(place.index)

    def _on_quarantined(self, scheduler: Scheduler, failure: QuarantinedError) -> None:
        for job in self.core.give_up_all(scheduler.core):
            self._tell(job, failure)

    def _call_soon(self, function: Callable[..., None], *arguments: Any) -> None:
        assert self._loop is not None, "what runs was submitted on a loop"
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop is closed: nobody waits any more
            log.warning("failures without an event loop")
