"""A scheduler, its metrics, and a way to drive it by hand, without threads."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from functools import partial
from typing import Any

from service import native
from service.app import bounds_of
from service.engine.engine import Engine
from service.schedulers.cost import CostModel
from service.schedulers.job import NORMAL_PRIORITY, Job, SequenceJob
from service.schedulers.scheduler import Outputs, Scheduler
from service.schedulers.sequences import SequenceScheduler
from service.settings import Settings
from service.telemetry.metrics import Metrics
from tests.fakes import TIMEOUT_S, Result, Steps, SumModel, check_result, results_of

DEFAULTS = dataclasses.replace(bounds_of(Settings()), engine_threads=1)
RUN_S, ROW_S, CELL_S = 50e-6, 5e-6, 5e-6


def made_cost(
    max_rows: int,
    max_steps: int = 1_000,
    run_s: float = RUN_S,
    row_s: float = ROW_S,
    cell_s: float = CELL_S,
) -> CostModel:
    """A machine on which a run takes `run_s`, and `row_s` a row, and `cell_s` a cell."""
    shapes = itertools.product({1, max_rows}, {1, 8, 64, max_steps})
    samples = {(b, t): run_s + row_s * b + cell_s * b * t for b, t in shapes}
    return CostModel(samples, max_rows, max_steps)


class Asked(SequenceJob):
    """A job, what it asked, and a future of what its caller is told."""

    __slots__ = ()  # see `Job`

    def __init__(
        self,
        scheduler: Scheduler,
        sequences: list[Steps],
        future: asyncio.Future[list[Result]],
        priority: int = NORMAL_PRIORITY,
    ) -> None:
        super().__init__(sequences, lambda job: settle(scheduler, future, job), priority)
        self.asked: list[Steps] = sequences
        self.future: asyncio.Future[list[Result]] = future


def settle(scheduler: Scheduler, future: asyncio.Future[list[Result]], job: Job) -> None:
    """Give a future what a job came to."""
    if job.failure is not None:
        future.set_exception(job.failure)
    else:
        future.set_result(results_of(scheduler, job))


def predict(
    engine: Engine,
    scheduler: Scheduler,
    sequences: list[Steps],
    timeout_s: float = TIMEOUT_S,
    priority: int = NORMAL_PRIORITY,
) -> asyncio.Future[list[Result]]:
    """Submit to an engine; cancelling the future cancels the job."""
    future: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()
    job = engine.submit(
        scheduler, sequences, timeout_s, partial(settle, scheduler, future), priority
    )
    future.add_done_callback(lambda ended: engine.cancel(job) if ended.cancelled() else None)
    return future


class Observed:
    """A model's scheduler, and the metrics that it counts in.

    Args:
        model: Its state says which scheduler.
        cost: What a run costs; default: `made_cost`'s.
        metrics: To count in; default: its own.
        bounds: Fields of `Bounds` that are not to be the settings' defaults.
    """

    def __init__(
        self,
        model: SumModel,
        cost: CostModel | None = None,
        metrics: Metrics | None = None,
        **bounds: Any,
    ) -> None:
        self.model = model
        self.metrics = metrics or Metrics()
        manifest = model.manifest
        self._labels = {"model": manifest.name, "version": manifest.version, "precision": "fp32"}
        all_bounds = dataclasses.replace(DEFAULTS, **bounds)
        self.scheduler = SequenceScheduler(
            model,
            all_bounds,
            cost or made_cost(all_bounds.max_batch_size),
            self.metrics.of_model(manifest.name, manifest.version),
        )
        self.core = self.scheduler.core

    def metric(self, name: str, **labels: str) -> float:
        """The value of one of the model's samples."""
        self.metrics.bring()
        value = self.metrics.registry.get_sample_value(name, self._labels | labels)
        assert value is not None, f"there is no {name} {labels}"
        return value

    def check_empty(self) -> None:
        """Fail if anything stayed behind."""
        assert self.core.pool == []
        assert self.core.num_waiting == 0
        assert self.core.num_active == 0
        if isinstance(self.core, native.CellScheduler):
            slots = sorted(self.core.free_slots)
            assert slots == list(range(self.scheduler.bounds.max_active_sequences))


class ByHand(Observed):
    """Plays the engine, a step at a time, by a clock of its own; close it."""

    def __init__(self, model: SumModel, cost: CostModel | None = None, **bounds: Any) -> None:
        super().__init__(model, cost, None, **bounds)
        self.loop = asyncio.new_event_loop()
        self.clock_s = 0.0
        self.settled: list[Asked] = []
        self._asked: list[Asked] = []  # an engine holds of a job only what it runs
        self.backlog = native.Backlog(self.scheduler.bounds.engine_threads)
        self.admission = native.Admission(model.manifest.name, self.core, self.backlog)
        self._workspace = native.Workspace()

    def close(self) -> None:
        """Close the event loop of the futures."""
        self.loop.close()

    def submit(
        self, *sequences: Steps, priority: int = NORMAL_PRIORITY, timeout_s: float = TIMEOUT_S
    ) -> Asked:
        """Queue one request, now by the hand's clock."""
        job = Asked(self.scheduler, list(sequences), self.loop.create_future(), priority)
        job.submitted_s = self.clock_s
        self.admission.enter(job, timeout_s)
        self.core.enqueue(job)
        self._asked.append(job)
        return job

    def cancel(self, job: Asked) -> None:
        """Have the caller leave."""
        job.future.cancel()
        job.gone = True
        self.admission.leave(job, False)
        self.core.forget(job)

    def take(self) -> native.Run | None:
        """What runs next."""
        return self.core.take()

    def finish(self, run: native.Run) -> list[Asked]:
        """Make a run that was taken; the jobs settled by it."""
        outputs = self.compute(run)
        run.cpu_s = self.scheduler.cost.predict(run.num_rows, run.num_steps)
        self.clock_s += run.cpu_s
        return self._settle(self.core.complete(run, *outputs))

    def finish_without(self, run: native.Run, rows: list[int], error: Exception) -> list[Asked]:
        """Make a run that was taken, but for some rows that fail; the jobs failed by these."""
        jobs = [job for job in self.core.fail_rows(run, rows) if job is not None]
        for job in jobs:
            job.failure = error
        failed = self._settle(jobs)
        self.finish(run)
        return failed

    def compute(self, run: native.Run) -> Outputs:
        """Make a run, and do not give its outputs back yet."""
        self.core.prepare(run, self._workspace)
        return self.scheduler.compute(run, self._workspace)

    def fail(self, run: native.Run, error: Exception) -> list[Asked]:
        """Fail a run that was taken; the jobs settled by it."""
        jobs = self.core.fail(run)
        for job in jobs:
            assert job.gone, "a failed job would run on"
            job.failure = error
        return self._settle(jobs)

    def tick(self) -> list[Asked]:
        """Take what runs next and run it; the jobs settled by it."""
        run = self.take()
        assert run is not None, "nothing to run"
        return self.finish(run)

    def drain(self) -> None:
        """Run until nothing is left to take."""
        while (run := self.take()) is not None:
            self.finish(run)

    def _settle(self, jobs: list[native.Job]) -> list[Asked]:
        asked = [job for job in jobs if isinstance(job, Asked)]
        assert len(asked) == len(jobs), "a job is not the one that was submitted"
        for job in asked:
            assert job not in self.settled, "a job settled twice"
            job.on_done(job)
            self.admission.leave(job, job.failure is None)
        self.settled.extend(asked)
        return asked


def check_answered(job: Asked) -> None:
    """Fail unless each of the job's sequences has its own answer, in order."""
    results = job.future.result()
    assert len(results) == len(job.asked) == job.num_sequences
    for result, sequence in zip(results, job.asked, strict=True):
        check_result(result, sequence)
