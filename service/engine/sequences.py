"""The `sequences` scheduler: whole sequences, batched with others of nearly their length.

For graphs that need every step at once (BiRNN, attention, Transformer). onnxruntime computes the
padding it is given, so a batch is grown from the oldest waiting sequence by its nearest neighbours
in length, only while the cells computed for each real cell stay under `max_padding_ratio`.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

from service.engine.job import Result, Sequence
from service.engine.model import Arrays, Model
from service.engine.scheduler import Batch, Bounds, Scheduler
from service.metrics import ModelMetrics


class SequenceScheduler(Scheduler):
    """The oldest waiting sequence always runs next; its batch is whoever fits its length."""

    def __init__(self, model: Model, bounds: Bounds, metrics: ModelMetrics) -> None:
        super().__init__(model, bounds, metrics)
        self._arrivals: deque[tuple[int, int]] = deque()  # keys, oldest first; some already taken
        self._by_length: list[tuple[int, int]] = []  # the keys that wait, sorted
        self._waiting: dict[tuple[int, int], Sequence] = {}  # by (length, serial)
        self._serial = 0
        self._running = 0

    @property
    def num_waiting(self) -> int:
        """Sequences in the queue."""
        return len(self._waiting)

    @property
    def num_active(self) -> int:
        """Sequences in a run."""
        return self._running

    def take(self) -> Batch | None:
        """The oldest sequence and its neighbours in length."""
        while self._arrivals:
            oldest = self._arrivals.popleft()
            if oldest not in self._waiting:
                continue  # it ran as a neighbour of an older one, or was dropped as one
            if self._drop_if_gone(bisect_left(self._by_length, oldest)):
                continue
            sequences = self._around(oldest)
            self._running += len(sequences)
            for sequence in sequences:
                self._started(sequence)
            return Batch(sequences, [len(sequence) for sequence in sequences])
        return None

    def _enqueue(self, sequence: Sequence) -> None:
        key = (len(sequence), self._serial)
        self._serial += 1
        self._arrivals.append(key)
        insort(self._by_length, key)
        self._waiting[key] = sequence

    def _forget_gone(self) -> None:
        for index in reversed(range(len(self._by_length))):
            self._drop_if_gone(index)

    def _around(self, oldest: tuple[int, int]) -> list[Sequence]:
        """Grow a batch both ways along the sorted lengths, always to the cheaper side."""
        low = bisect_left(self._by_length, oldest)
        high = low + 1
        real = oldest[0]
        while high - low < self.bounds.max_batch_size:
            while low > 0 and self._drop_if_gone(low - 1):
                low, high = low - 1, high - 1
            while high < len(self._by_length) and self._drop_if_gone(high):
                pass
            below = self._by_length[low - 1][0] if low > 0 else None
            above = self._by_length[high][0] if high < len(self._by_length) else None
            longest = self._by_length[high - 1][0]
            rows = high - low + 1
            ratios = [
                (rows * max(longest, length) / (real + length), step, length)
                for step, length in ((-1, below), (1, above))
                if length is not None
            ]
            if not ratios or min(ratios)[0] > self.bounds.max_padding_ratio:
                break
            _, step, length = min(ratios)
            low, high = (low - 1, high) if step < 0 else (low, high + 1)
            real += length
        keys = self._by_length[low:high]
        del self._by_length[low:high]
        return [self._waiting.pop(key) for key in keys]

    def _drop_if_gone(self, index: int) -> bool:
        """Forget the sequence at this place of `_by_length` if nobody waits for it any more."""
        key = self._by_length[index]
        if not self._waiting[key].job.gone:
            return False
        del self._waiting[key], self._by_length[index]
        return True

    def _advance(self, batch: Batch, outputs: Arrays) -> list[tuple[Sequence, Result]]:
        self._running -= len(batch.sequences)
        return [
            (sequence, self._result(outputs, row, len(sequence)))
            for row, sequence in enumerate(batch.sequences)
        ]

    def _discard(self, batch: Batch) -> None:
        self._running -= len(batch.sequences)
