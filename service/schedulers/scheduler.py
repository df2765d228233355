"""What both schedulers share: the sequences that wait in order of when they are due, and runs."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from bisect import insort
from operator import attrgetter

import numpy as np

from service.graphs.model import Arrays, Model, Result, check_outputs
from service.schedulers.batch import Batch, Workspace
from service.schedulers.bounds import Bounds
from service.schedulers.cost import CostModel
from service.schedulers.job import Job, Sequence
from service.telemetry.metrics import ModelMetrics

WINDOW = 48
"""Sequences that one choice of a batch looks at: those that are due first."""

NEVER = math.inf


class Scheduler(ABC):
    """Decides what one model runs next; all but `compute` is called under the engine's lock.

    Args:
        model: What runs the batches.
        bounds: How much at a time.
        cost: What a run takes.
        metrics: This model's.
    """

    def __init__(
        self, model: Model, bounds: Bounds, cost: CostModel, metrics: ModelMetrics
    ) -> None:
        self.model = model
        self.bounds = bounds
        self.cost = cost
        self.metrics = metrics
        self._pool: list[Sequence] = []  # what may run next, first due first
        self._num_running = 0
        self._serial = 0

    @property
    @abstractmethod
    def num_waiting(self) -> int:
        """Sequences that have not run at all."""

    @property
    @abstractmethod
    def num_active(self) -> int:
        """Sequences that are running, or are between two chunks."""

    @abstractmethod
    def take(self) -> Batch | None:
        """The batch to run next; None if nothing can run now."""

    @abstractmethod
    def _keep_state(self, batch: Batch, outputs: Arrays) -> None:
        """Put a run's new state where the next one of each sequence finds it."""

    @abstractmethod
    def _leave(self, sequence: Sequence) -> None:
        """Forget a sequence that will not run again."""

    @abstractmethod
    def _state(self, batch: Batch, workspace: Workspace) -> Arrays:
        """The state that a run starts from."""

    @property
    def next_due(self) -> float:
        """When the first sequence that could run is due; `NEVER` if there is none."""
        return self._pool[0].job.due_s if self._pool else NEVER

    def enqueue(self, job: Job) -> None:
        """Let a request's sequences wait for their turn."""
        for sequence in job.sequences:
            self._serial += 1
            sequence.due = (job.due_s, self._serial)
            self._return(sequence)

    def forget(self, job: Job) -> None:
        """Drop what of a request has not run: nobody waits for it any more."""
        dropped = [sequence for sequence in self._pool if sequence.job is job]
        if dropped:
            self._pool = [sequence for sequence in self._pool if sequence.job is not job]
        for sequence in dropped:
            self._leave(sequence)

    def compute(self, batch: Batch, workspace: Workspace) -> Arrays:
        """Run a batch, without the lock, and note what it cost."""
        started_s, started_cpu_s = time.perf_counter(), time.thread_time()
        inputs = workspace.inputs(batch)
        lengths = np.array(batch.counts, dtype=np.int64)
        outputs = self.model.run(inputs, lengths, self._state(batch, workspace))
        check_outputs(self.model.manifest, outputs, batch.num_rows, batch.num_steps)
        self._keep_state(batch, outputs)
        batch.cpu_s = time.thread_time() - started_cpu_s
        batch.elapsed_s = time.perf_counter() - started_s
        return outputs

    def complete(self, batch: Batch, outputs: Arrays) -> list[Job]:
        """Note a run's outputs; the jobs that are answered by it."""
        rows, steps, cpu_s = batch.num_rows, batch.num_steps, batch.cpu_s
        predicted_s = self.cost.predict(rows, steps)
        self.metrics.ran(rows, steps, batch.num_real, batch.elapsed_s, cpu_s, predicted_s)
        self.cost.observe(rows, steps, cpu_s)
        self._num_running -= rows
        answered: list[Job] = []
        for row, (sequence, count) in enumerate(zip(batch.sequences, batch.counts, strict=True)):
            sequence.position += count
            sequence.left -= count
            job = sequence.job
            if job.gone:
                self._leave(sequence)
            elif sequence.left:
                self._return(sequence)
            else:
                self._leave(sequence)
                if job.answer(sequence.row, self._result(outputs, row, count)):
                    answered.append(job)
        return answered

    def fail(self, batch: Batch, error: Exception) -> list[Job]:
        """Fail the jobs that had a sequence in this batch, and no other."""
        self._num_running -= batch.num_rows
        for sequence in batch.sequences:
            self._leave(sequence)
        jobs = {id(sequence.job): sequence.job for sequence in batch.sequences}
        failed = [job for job in jobs.values() if not job.gone]
        for job in failed:
            job.fail(error)
            self.forget(job)
        return failed

    def _return(self, sequence: Sequence) -> None:
        insort(self._pool, sequence, key=attrgetter("due"))

    def _run_next(self, sequences: list[Sequence], max_steps: int) -> Batch:
        """Take these out of the pool."""
        chosen = set(sequences)
        self._pool = [sequence for sequence in self._pool if sequence not in chosen]
        self._num_running += len(sequences)
        now_s = time.perf_counter()
        for sequence in sequences:
            if sequence.position == 0:
                self.metrics.queued(now_s - sequence.job.submitted_s)
        return Batch(sequences, max_steps)

    def _share(self) -> int:
        """Rows that one run may take, so that every engine thread gets as many."""
        there = len(self._pool) + self._num_running
        fair = -(-there // self.bounds.engine_threads)
        return max(1, min(fair, self.bounds.max_batch_size))

    def _result(self, outputs: Arrays, row: int, length: int) -> Result:
        names = self.model.manifest.outputs
        weights = outputs[names.weights][row, :length].copy() if names.weights else None
        return Result(outputs[names.logits][row], weights)
