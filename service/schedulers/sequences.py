"""The `sequences` scheduler: whole sequences, batched with others of nearly their length.

For graphs that need every step at once (BiRNN, attention, Transformer). onnxruntime computes the
padding it is given, so the waiting sequences are sorted by length and cut into batches where the
cost model says that all of them together take least: the dynamic programme of Fang et al.,
"TurboTransformers: an efficient GPU serving system for transformer models", PPoPP 2021. A batch
of one is among the choices, so that batching never costs more than it saves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.graphs.model import Arrays, Model
from service.schedulers.batch import Batch, Workspace
from service.schedulers.bounds import Bounds
from service.schedulers.cost import CostModel
from service.schedulers.job import Job, Sequence
from service.schedulers.scheduler import WINDOW, Scheduler
from service.telemetry.metrics import ModelMetrics


class SequenceScheduler(Scheduler):
    """The sequence that is due first runs next, in the batch that the cuts have it in."""

    def __init__(
        self, model: Model, bounds: Bounds, cost: CostModel, metrics: ModelMetrics
    ) -> None:
        super().__init__(model, bounds, cost, metrics)
        self._planned: list[list[Sequence]] = []  # batches, the one that is due last first
        self._num_new = 0  # sequences that came since the plan was made

    @property
    def num_waiting(self) -> int:
        """Sequences in the queue."""
        return len(self._pool)

    @property
    def num_active(self) -> int:
        """Sequences in a run."""
        return self._num_running

    def enqueue(self, job: Job) -> None:
        """Let a request's sequences wait for their turn."""
        self._num_new += len(job.sequences)
        super().enqueue(job)

    def forget(self, job: Job) -> None:
        """Drop what of a request has not run; the plan is made anew."""
        super().forget(job)
        self._planned.clear()

    def take(self) -> Batch | None:
        """The batch of the sequence that is due first."""
        if not self._pool:
            return None
        if not self._planned or self._is_stale():
            self._plan()
        sequences = self._planned.pop()
        return self._run_next(sequences, max(sequence.left for sequence in sequences))

    def _is_stale(self) -> bool:
        """Enough came to cut better, or something that is due before what is planned."""
        return self._num_new >= self._share() or self._pool[0] not in self._planned[-1]

    def _plan(self) -> None:
        """Cut the window into batches."""
        window = sorted(self._pool[:WINDOW], key=lambda sequence: sequence.left)
        cuts = self._cut(np.array([sequence.left for sequence in window]))
        starts = [0, *cuts[:-1]]
        batches = [window[start:stop] for start, stop in zip(starts, cuts, strict=True)]
        self._planned = sorted(
            batches, key=lambda batch: min(sequence.due for sequence in batch), reverse=True
        )
        self._num_new = 0

    def _cut(self, lengths: NDArray[np.int64]) -> list[int]:
        """Where to end each batch of sequences in order of length, so that the sum is least.

        best(i) = min over b of best(i - b) + t(b, length(i)): the i shortest, their last b
        together. Left out are batches that pad too much, or take longer than `max_run_ms`
        though they could be smaller.
        """
        share = min(self._share(), len(lengths))
        seconds = self.cost.table(share, lengths)  # (sequences, rows)
        real = np.concatenate([[0], np.cumsum(lengths)])
        ends, rows = np.arange(1, len(lengths) + 1)[:, None], np.arange(1, share + 1)
        padded = rows * lengths[:, None]
        in_batch = real[ends] - real[np.maximum(ends - rows, 0)]
        too_much = padded > self.bounds.max_padding_ratio * in_batch
        too_long = seconds > self.bounds.max_run_s
        seconds = np.where((rows > 1) & (too_much | too_long | (rows > ends)), np.inf, seconds)
        best, last = [0.0], [0]
        for end, row in enumerate(seconds.tolist(), start=1):
            totals = [best[end - 1 - index] + row[index] for index in range(min(share, end))]
            best.append(min(totals))
            last.append(totals.index(best[end]) + 1)
        cuts, end = [], len(lengths)
        while end:
            cuts.append(end)
            end -= last[end]
        return cuts[::-1]

    def _leave(self, sequence: Sequence) -> None:
        pass  # it holds nothing

    def _state(self, batch: Batch, workspace: Workspace) -> Arrays:
        return {}

    def _keep_state(self, batch: Batch, outputs: Arrays) -> None:
        pass  # there is none
