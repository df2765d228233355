"""A scheduler, its metrics, and a way to drive it by hand, without threads."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from functools import partial
from typing import Any

from service.app import bounds_of
from service.engine.admission import Admission, Backlog
from service.engine.engine import Engine
from service.graphs.model import Arrays, Model, Result
from service.repository import SCHEDULERS
from service.schedulers.batch import Batch, Workspace
from service.schedulers.cells import CellScheduler
from service.schedulers.cost import CostModel
from service.schedulers.job import NORMAL_PRIORITY, Job
from service.schedulers.scheduler import Scheduler
from service.settings import Settings
from service.telemetry.metrics import Metrics
from tests.fakes import TIMEOUT_S, Steps, check_result

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


class Asked(Job):
    """A job, and a future of what its caller is told."""

    def __init__(
        self,
        sequences: list[Steps],
        future: asyncio.Future[list[Result]],
        priority: int = NORMAL_PRIORITY,
    ) -> None:
        super().__init__(sequences, lambda job: settle(future, job), priority)
        self.future = future


def settle(future: asyncio.Future[list[Result]], job: Job) -> None:
    """Give a future what a job came to."""
    if job.failure is not None:
        future.set_exception(job.failure)
    else:
        future.set_result(job.results)


def predict(
    engine: Engine,
    scheduler: Scheduler,
    sequences: list[Steps],
    timeout_s: float = TIMEOUT_S,
    priority: int = NORMAL_PRIORITY,
) -> asyncio.Future[list[Result]]:
    """Submit to an engine; cancelling the future cancels the job."""
    future: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()
    job = engine.submit(scheduler, sequences, timeout_s, partial(settle, future), priority)
    future.add_done_callback(lambda ended: engine.cancel(job) if ended.cancelled() else None)
    return future


class Observed:
    """A model's scheduler, and the metrics that it counts in.

    Args:
        model: Its manifest says which scheduler.
        cost: What a run costs; default: `made_cost`'s.
        bounds: Fields of `Bounds` that are not to be the settings' defaults.
    """

    def __init__(self, model: Model, cost: CostModel | None = None, **bounds: Any) -> None:
        self.model = model
        self.metrics = Metrics()
        manifest = model.manifest
        self._labels = {"model": manifest.name, "version": manifest.version, "precision": "fp32"}
        all_bounds = dataclasses.replace(bounds_of(Settings()), engine_threads=1)
        all_bounds = dataclasses.replace(all_bounds, **bounds)
        self.scheduler = SCHEDULERS[manifest.batching](
            model,
            all_bounds,
            cost or made_cost(all_bounds.max_batch_size),
            self.metrics.of_model(manifest.name, manifest.version),
        )

    def metric(self, name: str, **labels: str) -> float:
        """The value of one of the model's samples."""
        self.metrics.bring()
        value = self.metrics.registry.get_sample_value(name, self._labels | labels)
        assert value is not None, f"there is no {name} {labels}"
        return value

    def check_empty(self) -> None:
        """Fail if anything stayed behind."""
        assert self.scheduler.num_waiting == 0
        assert self.scheduler.num_active == 0
        if isinstance(self.scheduler, CellScheduler):
            slots = sorted(self.scheduler._free_slots)
            assert slots == list(range(self.scheduler.bounds.max_active_sequences))


class ByHand(Observed):
    """Plays the engine, a step at a time, by a clock of its own; close it."""

    def __init__(self, model: Model, cost: CostModel | None = None, **bounds: Any) -> None:
        super().__init__(model, cost, **bounds)
        self.loop = asyncio.new_event_loop()
        self.clock_s = 0.0
        self.settled: list[Asked] = []
        self.backlog = Backlog(self.scheduler.bounds.engine_threads)
        self.admission = Admission(self.scheduler, self.backlog)
        self._workspace = Workspace()

    def close(self) -> None:
        """Close the event loop of the futures."""
        self.loop.close()

    def submit(
        self, *sequences: Steps, priority: int = NORMAL_PRIORITY, timeout_s: float = TIMEOUT_S
    ) -> Asked:
        """Queue one request, now by the hand's clock."""
        job = Asked(list(sequences), self.loop.create_future(), priority)
        job.submitted_s = self.clock_s
        self.admission.enter(job, timeout_s)
        self.scheduler.enqueue(job)
        return job

    def cancel(self, job: Asked) -> None:
        """Have the caller leave."""
        job.future.cancel()
        job.gone = True
        self.admission.leave(job, done=False)
        self.scheduler.forget(job)

    def take(self) -> Batch | None:
        """What runs next."""
        return self.scheduler.take()

    def finish(self, batch: Batch) -> list[Asked]:
        """Run a batch that was taken; the jobs settled by it."""
        outputs = self.compute(batch)
        batch.cpu_s = self.scheduler.cost.predict(batch.num_rows, batch.num_steps)
        self.clock_s += batch.cpu_s
        return self._settle(self.scheduler.complete(batch, outputs))

    def compute(self, batch: Batch) -> Arrays:
        """Run a batch, and do not give its outputs back yet."""
        return self.scheduler.compute(batch, self._workspace)

    def fail(self, batch: Batch, error: Exception) -> list[Asked]:
        """Fail a batch that was taken; the jobs settled by it."""
        return self._settle(self.scheduler.fail(batch, error))

    def tick(self) -> list[Asked]:
        """Take a batch and run it; the jobs settled by it."""
        batch = self.take()
        assert batch is not None, "nothing to run"
        return self.finish(batch)

    def drain(self) -> None:
        """Run until nothing is left to take."""
        while (batch := self.take()) is not None:
            self.finish(batch)

    def _settle(self, jobs: list[Job]) -> list[Asked]:
        asked = [job for job in jobs if isinstance(job, Asked)]
        for job in asked:
            assert job not in self.settled, "a job settled twice"
            job.on_done(job)
            self.admission.leave(job, done=job.failure is None)
        self.settled.extend(asked)
        return asked


def check_answered(job: Asked) -> None:
    """Fail unless each of the job's sequences has its own answer, in order."""
    results = job.future.result()
    assert len(results) == len(job.sequences)
    for result, sequence in zip(results, job.sequences, strict=True):
        check_result(result, sequence.inputs)
