"""What both schedulers share: a bounded queue, batches, answers, failures kept to a batch."""

from __future__ import annotations

import dataclasses
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence as Items

import numpy as np
from numpy.typing import NDArray

from service.engine.job import Job, Result, Sequence
from service.engine.model import Arrays, Model, check_outputs
from service.errors import OverloadedError
from service.metrics import ModelMetrics


@dataclasses.dataclass(frozen=True)
class Bounds:
    """How much a scheduler runs and holds at a time; the settings of the same names."""

    max_batch_size: int
    chunk_steps: int
    max_active_sequences: int
    max_padding_ratio: float
    max_queue_size: int


class Batch:
    """Sequences that run together, and the tensors they run as.

    Args:
        sequences: At least one.
        stops: Step after the last one to run, of each.
    """

    def __init__(self, sequences: Items[Sequence], stops: Items[int]) -> None:
        self.sequences = sequences
        starts = [sequence.position for sequence in sequences]
        counts = [stop - start for start, stop in zip(starts, stops, strict=True)]
        self.lengths: NDArray[np.int64] = np.array(counts, dtype=np.int64)
        features = sequences[0].inputs.shape[1]
        self.inputs = np.zeros((len(sequences), max(counts), features), dtype=np.float32)
        for row, (sequence, start, stop) in enumerate(zip(sequences, starts, stops, strict=True)):
            self.inputs[row, : stop - start] = sequence.inputs[start:stop]
        self.state: Arrays = {}


class Scheduler(ABC):
    """Decides what one model runs next; all but `compute` is called under the engine's lock.

    Args:
        model: What runs the batches.
        bounds: How much at a time.
        metrics: This model's.
    """

    def __init__(self, model: Model, bounds: Bounds, metrics: ModelMetrics) -> None:
        self.model = model
        self.bounds = bounds
        self.metrics = metrics

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
    def _enqueue(self, sequence: Sequence) -> None:
        """Let a sequence wait."""

    @abstractmethod
    def _forget_gone(self) -> None:
        """Give back the queue's places that are held for callers who left."""

    @abstractmethod
    def _advance(self, batch: Batch, outputs: Arrays) -> list[tuple[Sequence, Result]]:
        """Go on after a run: the sequences that it finished, with their results."""

    @abstractmethod
    def _discard(self, batch: Batch) -> None:
        """Forget the sequences of a batch that failed."""

    def submit(self, job: Job) -> None:
        """Queue a request's sequences, all or none.

        Raises:
            OverloadedError: They do not fit the queue.
        """
        free = self.bounds.max_queue_size - self.num_waiting
        if len(job.sequences) > free:
            self._forget_gone()
            free = self.bounds.max_queue_size - self.num_waiting
        if len(job.sequences) > free:
            raise OverloadedError(
                f"the queue of {self.model.manifest.name} is full: {len(job.sequences)} sequences "
                f"came, {max(free, 0)} of {self.bounds.max_queue_size} places are free"
            )
        for sequence in job.sequences:
            self._enqueue(sequence)

    def compute(self, batch: Batch) -> Arrays:
        """Run a batch, without the lock, and count what it cost."""
        started_s = time.perf_counter()
        outputs = self.model.run(batch.inputs, batch.lengths, batch.state)
        elapsed_s = time.perf_counter() - started_s
        rows, steps = batch.inputs.shape[:2]
        check_outputs(self.model.manifest, outputs, rows, steps)
        self.metrics.ran(rows=rows, steps=steps, real=int(batch.lengths.sum()), elapsed_s=elapsed_s)
        return outputs

    def complete(self, batch: Batch, outputs: Arrays) -> list[Job]:
        """Note a run's outputs; the jobs that are answered by it."""
        return [
            sequence.job
            for sequence, result in self._advance(batch, outputs)
            if sequence.job.answer(sequence.row, result) and not sequence.job.gone
        ]

    def fail(self, batch: Batch, error: Exception) -> list[Job]:
        """Fail the jobs that had a sequence in this batch, and no other."""
        self._discard(batch)
        jobs = {id(sequence.job): sequence.job for sequence in batch.sequences}
        failed = [job for job in jobs.values() if not job.gone]
        for job in failed:
            job.failure = error
        return failed

    def _started(self, sequence: Sequence) -> None:
        self.metrics.queued(time.perf_counter() - sequence.job.submitted_s)

    def _result(self, outputs: Arrays, row: int, length: int) -> Result:
        names = self.model.manifest.outputs
        weights = outputs[names.weights][row, :length].copy() if names.weights else None
        return Result(outputs[names.logits][row].copy(), weights)
