"""A model of whole tensors: a request runs as it came, together with others like it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from service import native
from service.errors import InvalidRequestError, ServiceError, UnfitTensorsError
from service.graphs.checks.rows import find_rows
from service.graphs.model import Arrays
from service.graphs.tensors import TensorModel
from service.schedulers.bounds import Bounds
from service.schedulers.cost import CostModel, Samples
from service.schedulers.job import Job
from service.schedulers.scheduler import Outputs, Scheduler
from service.telemetry.parts.model import ModelMetrics

MAX_KINDS = 4_096  # known at a time
UNTRIED_S = 1e-3  # of a run, until one was seen
MAX_TRIES = 4


class TensorJob(Job):
    """One request's tensors.

    Args:
        tensors: By name, checked.
        num_rows: Of each.
        kind: The same for requests that may run together.
        on_done: Told, on the event loop and once, that there are results or a failure.
        priority: 1 (high) to 3 (low).
        timeout_s: As long as its caller waits.
    """

    __slots__ = ()

    def __init__(
        self,
        tensors: Arrays,
        num_rows: int,
        kind: int,
        on_done: Callable[[Job], None],
        priority: int,
        timeout_s: float,
    ) -> None:
        super().__init__(num_rows, kind, priority, timeout_s)
        self.on_done = on_done  # type: ignore[assignment]  # told of no other job than this
        self.failure: Exception | None = None
        self.tensors = tensors
        self.num_rows = num_rows
        self.answer: Arrays | ServiceError | None = None


class TensorScheduler(Scheduler):
    """Runs requests together where their rows don't depend on each other, else one at a time.

    Args:
        model: What runs them.
        is_batchable: Whether they may run together.
        bounds: How much at a time.
        metrics: This model's.
    """

    def __init__(
        self, model: TensorModel, is_batchable: bool, bounds: Bounds, metrics: ModelMetrics
    ) -> None:
        self.model = model
        self.is_batchable = is_batchable
        bounds = bounds if is_batchable else replace(bounds, max_batch_size=1)
        samples = _measure(model, bounds.max_batch_size, bounds.calibration_ms / 1_000)
        cost = CostModel(samples, bounds.max_batch_size, 1)
        core = native.TensorScheduler(bounds.native(), cost, metrics.tally)
        super().__init__(core, bounds, cost, metrics)
        self._needed = {spec.name for spec in model.signature.inputs if not spec.is_optional}
        self._kinds: dict[object, int] = {}
        self._new_kind = itertools.count()

    def make_job(
        self, asked: Arrays, on_done: Callable[[Job], None], priority: int, timeout_s: float
    ) -> Job:
        """A job of these tensors.

        Raises:
            InvalidRequestError: Their first axes are the batch, and differ or are empty.
        """
        num_rows = self._num_rows(asked) if self.is_batchable else 1
        return TensorJob(asked, num_rows, self._kind_of(asked), on_done, priority, timeout_s)

    def _num_rows(self, tensors: Arrays) -> int:
        rows = {name: len(tensors[name]) for name in tensors if name in self._needed}
        first = next(iter(rows.values()))
        for name, count in rows.items():
            if count != first or not count:
                raise InvalidRequestError(
                    f"{name} has {count} rows, all inputs must have the same number, 1 at least",
                    name,
                )
        return first

    def _kind_of(self, tensors: Arrays) -> int:
        """The same number for requests that differ in their number of rows alone."""
        if tensors.keys() != self._needed:  # optional ones need have no rows
            return next(self._new_kind)
        if len(self._kinds) >= MAX_KINDS:
            self._kinds.clear()  # numbers are never given twice
        shapes = tuple(sorted((name, array.shape[1:]) for name, array in tensors.items()))
        kind = self._kinds.get(shapes)
        if kind is None:
            kind = next(self._new_kind)
            if all(0 not in axes for _, axes in shapes):  # with those, no company was tried
                self._kinds[shapes] = kind
        return kind

    def compute(self, run: native.Run, workspace: native.Workspace) -> Outputs:
        """Run the graph on the requests' tensors, and keep with each what is its own."""
        # one whose caller left may be no more than its place in the run
        jobs = [job for part in run.sequences if isinstance(job := part.job, TensorJob)]
        if len(jobs) > 1:
            try:
                self._run_together(jobs)
            except Exception:  # noqa: BLE001 - of any kind: whose fault it is, is seen one by one
                run.is_usual = False
            else:
                return [], []
        for job in jobs:
            self._run_alone(job)
        return [], []

    def _run_together(self, jobs: Sequence[TensorJob]) -> None:
        names = jobs[0].tensors
        outputs = self.model.run({n: np.concatenate([j.tensors[n] for j in jobs]) for n in names})
        ends = np.cumsum([job.num_rows for job in jobs])
        for name, output in outputs.items():
            if len(output) != ends[-1]:
                raise ValueError(f"output {name} has {len(output)} rows, not {ends[-1]}")
        for job, end in zip(jobs, ends, strict=True):
            job.answer = {
                name: output[end - job.num_rows : end] for name, output in outputs.items()
            }

    def _run_alone(self, job: TensorJob) -> None:
        try:
            job.answer = self.model.run(job.tensors)
        except ServiceError as error:  # not the tensors' fault
            job.answer = error
        except Exception as error:  # noqa: BLE001 - the graph takes other tensors, not these
            job.answer = UnfitTensorsError(self.name, error)

    def num_rows(self, job: native.Job) -> int:
        """The length of its tensors' first axis, where that is the batch; else 1."""
        return job.num_cells

    def results(self, job: native.Job) -> Arrays:
        """Its outputs.

        Raises:
            UnfitTensorsError: The graph failed on its tensors.
            ServiceError: It could not be run.
        """
        assert isinstance(job, TensorJob)
        if isinstance(job.answer, ServiceError):
            raise job.answer
        assert job.answer is not None, "only answered jobs have results"
        return job.answer


def _measure(model: TensorModel, max_rows: int, budget_s: float) -> Samples:
    """Where the graph can be tried, what a run takes; else a guess, which runs soon correct."""
    rows = find_rows(model)
    if isinstance(rows, str):
        return {(1, 1): UNTRIED_S}
    row = rows.make(rows.kind, np.random.default_rng(0))
    samples = {(1, 1): _seconds(model, row, 1, budget_s)}
    if max_rows > 1 and samples[1, 1] * max_rows <= budget_s:
        samples[max_rows, 1] = _seconds(model, row, max_rows, budget_s)
    return samples


def _seconds(model: TensorModel, row: Arrays, num_rows: int, budget_s: float) -> float:
    batch = row
    if num_rows > 1:
        batch = {name: np.repeat(array, num_rows, axis=0) for name, array in row.items()}
    taken: list[float] = []
    while not taken or (len(taken) < MAX_TRIES and sum(taken) < budget_s):
        started_s = time.thread_time()
        model.run(batch)
        taken.append(time.thread_time() - started_s)
    return min(taken)
