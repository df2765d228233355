"""The `cells` scheduler: one chunk of steps of every active sequence, ticked by the engine.

For graphs that carry their state (RNN, LSTM, GRU). A sequence joins when a state slot is free and
leaves at its own end, so a short one never waits for a long one, and nothing is padded beyond the
chunk. After Gao et al., "Low latency RNN inference with cellular batching", EuroSys 2018.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from service.engine.job import Result, Sequence
from service.engine.model import Arrays, Model
from service.engine.scheduler import Batch, Bounds, Scheduler
from service.metrics import ModelMetrics


class CellScheduler(Scheduler):
    """Active sequences take turns, a chunk each, oldest turn first."""

    def __init__(self, model: Model, bounds: Bounds, metrics: ModelMetrics) -> None:
        super().__init__(model, bounds, metrics)
        self._waiting: deque[Sequence] = deque()
        self._between: deque[Sequence] = deque()  # active, their next chunk not yet taken
        self._running = 0
        self._free_slots = list(range(bounds.max_active_sequences))
        self._state: Arrays = {
            pair.input: np.empty((bounds.max_active_sequences, *pair.shape), dtype=np.float32)
            for pair in model.manifest.state
        }

    @property
    def num_waiting(self) -> int:
        """Sequences without a state slot yet."""
        return len(self._waiting)

    @property
    def num_active(self) -> int:
        """Sequences that hold a state slot."""
        return len(self._between) + self._running

    def take(self) -> Batch | None:
        """The next chunks of the sequences whose turn it is."""
        sequences: list[Sequence] = []
        while len(sequences) < self.bounds.max_batch_size:
            self._admit()  # each time: a caller that is gone leaves its slot to one who waits
            if not self._between:
                break
            sequence = self._between.popleft()
            if sequence.job.gone:
                self._free_slots.append(sequence.slot)
                continue
            if sequence.position == 0:
                self._started(sequence)
            sequences.append(sequence)
        if not sequences:
            return None
        chunk = self.bounds.chunk_steps
        batch = Batch(sequences, [min(len(s), s.position + chunk) for s in sequences])
        slots = [sequence.slot for sequence in sequences]
        batch.state = {name: held[slots] for name, held in self._state.items()}
        self._running += len(sequences)
        return batch

    def _enqueue(self, sequence: Sequence) -> None:
        self._waiting.append(sequence)

    def _forget_gone(self) -> None:
        self._waiting = deque(s for s in self._waiting if not s.job.gone)

    def _admit(self) -> None:
        """Give free slots to those who wait, first come first served."""
        while self._waiting and self._free_slots:
            sequence = self._waiting.popleft()
            if sequence.job.gone:
                continue
            sequence.slot = self._free_slots.pop()
            for pair in self.model.manifest.state:
                self._state[pair.input][sequence.slot] = pair.initial
            self._between.append(sequence)

    def _advance(self, batch: Batch, outputs: Arrays) -> list[tuple[Sequence, Result]]:
        slots = [sequence.slot for sequence in batch.sequences]
        for pair in self.model.manifest.state:
            self._state[pair.input][slots] = outputs[pair.output]
        self._running -= len(slots)
        finished: list[tuple[Sequence, Result]] = []
        for row, sequence in enumerate(batch.sequences):
            sequence.position += int(batch.lengths[row])
            if sequence.position < len(sequence):
                self._between.append(sequence)
            else:
                self._free_slots.append(sequence.slot)
                finished.append((sequence, self._result(outputs, row, len(sequence))))
        return finished

    def _discard(self, batch: Batch) -> None:
        self._running -= len(batch.sequences)
        self._free_slots.extend(sequence.slot for sequence in batch.sequences)
