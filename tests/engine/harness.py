"""A scheduler, its metrics, and a way to drive it by hand, without threads."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from service.app import bounds_of
from service.engine.cells import CellScheduler
from service.engine.job import Job
from service.engine.model import Arrays, Model
from service.engine.scheduler import Batch
from service.metrics import Metrics
from service.repository import SCHEDULERS
from service.settings import Settings
from tests.fakes import Steps, check_result


class Observed:
    """A model's scheduler, and the metrics that it counts in.

    Args:
        model: Its manifest says which scheduler.
        bounds: Fields of `Bounds` that are not to be the settings' defaults.
    """

    def __init__(self, model: Model, **bounds: Any) -> None:
        self.model = model
        self.metrics = Metrics()
        manifest = model.manifest
        self._labels = {"model": manifest.name, "version": manifest.version, "precision": "fp32"}
        self.scheduler = SCHEDULERS[manifest.batching](
            model,
            dataclasses.replace(bounds_of(Settings()), **bounds),
            self.metrics.of_model(manifest.name, manifest.version),
        )

    def metric(self, name: str, **labels: str) -> float:
        """The value of one of the model's samples."""
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
    """Plays the engine, a step at a time; close it."""

    def __init__(self, model: Model, **bounds: Any) -> None:
        super().__init__(model, **bounds)
        self.loop = asyncio.new_event_loop()
        self.settled: list[Job] = []

    def close(self) -> None:
        """Close the event loop of the futures."""
        self.loop.close()

    def submit(self, *sequences: Steps) -> Job:
        """Queue one request."""
        job = Job(list(sequences), self.loop.create_future())
        self.scheduler.submit(job)
        return job

    def take(self) -> Batch | None:
        """What runs next."""
        return self.scheduler.take()

    def finish(self, batch: Batch) -> list[Job]:
        """Run a batch that was taken; the jobs settled by it."""
        return self._settle(self.scheduler.complete(batch, self.compute(batch)))

    def compute(self, batch: Batch) -> Arrays:
        """Run a batch, and do not give its outputs back yet."""
        return self.scheduler.compute(batch)

    def fail(self, batch: Batch, error: Exception) -> list[Job]:
        """Fail a batch that was taken; the jobs settled by it."""
        return self._settle(self.scheduler.fail(batch, error))

    def tick(self) -> list[Job]:
        """Take a batch and run it; the jobs settled by it."""
        batch = self.take()
        assert batch is not None, "nothing to run"
        return self.finish(batch)

    def drain(self) -> None:
        """Run until nothing is left to take."""
        while (batch := self.take()) is not None:
            self.finish(batch)

    def _settle(self, jobs: list[Job]) -> list[Job]:
        for job in jobs:
            assert job not in self.settled, "a job settled twice"
            job.settle()
        self.settled.extend(jobs)
        return jobs


def check_answered(job: Job) -> None:
    """Fail unless each of the job's sequences has its own answer, in order."""
    results = job.future.result()
    assert len(results) == len(job.sequences)
    for result, sequence in zip(results, job.sequences, strict=True):
        check_result(result, sequence.inputs)
