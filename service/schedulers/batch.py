"""What runs together: the rows of one run, and the buffers that their tensors are built in."""

from __future__ import annotations

import math
from collections.abc import Sequence as Items

import numpy as np
from numpy.typing import NDArray

from service.schedulers.job import Sequence


class Batch:
    """Sequences that run together, each from its position on.

    Args:
        sequences: At least one.
        max_steps: So many steps of each, or what is left of it.
    """

    def __init__(self, sequences: Items[Sequence], max_steps: int) -> None:
        self.sequences = sequences
        self.counts = [min(max_steps, sequence.left) for sequence in sequences]
        self.num_steps = max(self.counts)
        self.num_real = sum(self.counts)
        self.cpu_s = 0.0
        """What the run took of its thread's CPU time, once it is over."""
        self.elapsed_s = 0.0

    @property
    def num_rows(self) -> int:
        """How many sequences run."""
        return len(self.sequences)


class Workspace:
    """One engine thread's buffers, used anew for every run; they grow to the largest run seen."""

    def __init__(self) -> None:
        self._buffers: dict[str, NDArray[np.float32]] = {}

    def array(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """A contiguous float32 array of rubbish; good until this name is asked for again."""
        size = math.prod(shape)
        buffer = self._buffers.get(name)
        if buffer is None or buffer.size < size:
            buffer = self._buffers[name] = np.empty(size, dtype=np.float32)
        return buffer[:size].reshape(shape)

    def inputs(self, batch: Batch) -> NDArray[np.float32]:
        """The batch's steps, float32 (batch, time, features), zero past each row's own."""
        num_features = batch.sequences[0].inputs.shape[1]
        inputs = self.array("inputs", (batch.num_rows, batch.num_steps, num_features))
        for row, (sequence, count) in enumerate(zip(batch.sequences, batch.counts, strict=True)):
            start = sequence.position
            inputs[row, :count] = sequence.inputs[start : start + count]
            if count < batch.num_steps:
                inputs[row, count:] = 0.0
        return inputs
