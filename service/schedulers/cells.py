"""The `cells` scheduler: a chunk of steps of several sequences at a time, ticked by the engine.

For graphs that carry their state (RNN, LSTM, GRU). A sequence may run with others at every tick
and leaves at its own end, so a short one never waits for a long one. After Gao et al., "Low
latency RNN inference with cellular batching", EuroSys 2018; here the chunk is no constant: each
tick takes rows with about as much left, and the chunk that gets most done in a second.
"""

from __future__ import annotations

import numpy as np

from service.graphs.model import Arrays, Model
from service.schedulers.batch import Batch, Workspace
from service.schedulers.bounds import Bounds
from service.schedulers.cost import CostModel
from service.schedulers.job import Job, Sequence
from service.schedulers.scheduler import WINDOW, Scheduler
from service.telemetry.metrics import ModelMetrics

ENDING_STEPS = 5
"""What ending a sequence is worth, in steps; 2 to 8 differ little in simulation."""


class CellScheduler(Scheduler):
    """The sequence that is due first always runs; who runs with it is who fits it best."""

    def __init__(
        self, model: Model, bounds: Bounds, cost: CostModel, metrics: ModelMetrics
    ) -> None:
        super().__init__(model, bounds, cost, metrics)
        self._num_waiting = 0
        self._free_slots = list(range(bounds.max_active_sequences))
        self._held: Arrays = {
            pair.input: np.empty((bounds.max_active_sequences, *pair.shape), dtype=np.float32)
            for pair in model.manifest.state
        }

    @property
    def num_waiting(self) -> int:
        """Sequences without a state slot yet."""
        return self._num_waiting

    @property
    def num_active(self) -> int:
        """Sequences that hold a state slot."""
        return self.bounds.max_active_sequences - len(self._free_slots)

    def enqueue(self, job: Job) -> None:
        """Let a request's sequences wait for a slot and their turn."""
        self._num_waiting += len(job.sequences)
        super().enqueue(job)

    def take(self) -> Batch | None:
        """The next chunks of the sequence that is due first, and of those that fit it."""
        window = self._pool[:WINDOW]
        if len(self._free_slots) < self.bounds.max_batch_size:
            window = self._with_slots(window)
        if not window:
            return None
        batch = self._run_next(*self._choose(window))
        for sequence in batch.sequences:
            if sequence.slot < 0:
                self._start(sequence)
        return batch

    def _with_slots(self, window: list[Sequence]) -> list[Sequence]:
        """Those that hold a slot, and as many others as there are slots."""
        free = len(self._free_slots)
        kept = []
        for sequence in window:
            if sequence.slot < 0:
                if not free:
                    continue
                free -= 1
            kept.append(sequence)
        return kept or [s for s in self._pool if s.slot >= 0][: self.bounds.max_batch_size]

    def _choose(self, window: list[Sequence]) -> tuple[list[Sequence], int]:
        """Who runs, and how many steps of each at most.

        The first of the window runs with those that have about as much left: as many, and in such
        a chunk, as get most done in a second.
        """
        first = window[0].left
        nearest = sorted(window, key=lambda sequence: abs(sequence.left - first))[: self._share()]
        if self.bounds.chunk_steps:
            return nearest, min(self.bounds.chunk_steps, self.cost.max_steps)
        most = len(nearest)
        best_rate, best_count, best_chunk = 0.0, 1, 1
        for count in sorted({most, most * 3 // 4, most // 2} - {0}, reverse=True):
            rate, chunk = self._best_chunk(sorted(row.left for row in nearest[:count]))
            if rate > best_rate:
                best_rate, best_count, best_chunk = rate, count, chunk
        return nearest[:best_count], best_chunk

    def _best_chunk(self, left: list[int]) -> tuple[float, int]:
        """The chunk that gets most done with these rows, and how much in a second.

        It is one at which some of them end, or an even part of that where it would take over
        `max_run_ms`. Ending counts as `ENDING_STEPS` more, for what is left over must be run once
        more, and seldom in as good company.

        Args:
            left: Steps of each row, ascending.
        """
        count, done = len(left), 0
        best_rate, best_chunk = 0.0, 1
        longest = self.cost.longest(count, self.bounds.max_run_s)
        for ended, steps in enumerate(left, start=1):
            done += steps
            if steps <= longest:
                chunk = steps
                worth = done + (count - ended) * steps + ENDING_STEPS * ended
            else:
                chunk = -(-steps // -(-steps // longest))
                worth = count * chunk
            rate = worth / self.cost.predict(count, chunk)
            if rate > best_rate:
                best_rate, best_chunk = rate, chunk
        return best_rate, best_chunk

    def _start(self, sequence: Sequence) -> None:
        """Give a sequence a slot, in which its state begins."""
        self._num_waiting -= 1
        sequence.slot = self._free_slots.pop()
        for pair in self.model.manifest.state:
            self._held[pair.input][sequence.slot] = pair.initial

    def _leave(self, sequence: Sequence) -> None:
        if sequence.slot < 0:
            self._num_waiting -= 1
        else:
            self._free_slots.append(sequence.slot)

    def _state(self, batch: Batch, workspace: Workspace) -> Arrays:
        slots = [sequence.slot for sequence in batch.sequences]
        return {
            name: np.take(
                held,
                slots,
                axis=0,
                out=workspace.array(name, (len(slots), *held.shape[1:])),
                mode="clip",
            )
            for name, held in self._held.items()
        }

    def _keep_state(self, batch: Batch, outputs: Arrays) -> None:
        slots = [sequence.slot for sequence in batch.sequences]
        for pair in self.model.manifest.state:
            self._held[pair.input][slots] = outputs[pair.output]
