"""A graph whose tensors lie otherwise than the engine's: time first, or the batch within."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.graphs.model import Arrays
from service.graphs.spec import SequenceSpec
from service.graphs.tensors import TensorModel


class Axes(NamedTuple):
    """Where a tensor has its batch, and its time if it has one."""

    batch: int
    time: int | None = None

    def to_front(self, array: NDArray[Any]) -> NDArray[Any]:
        """As (batch, time, …), or (batch, …)."""
        return np.ascontiguousarray(np.moveaxis(array, self._places, range(len(self._places))))

    def from_front(self, array: NDArray[Any]) -> NDArray[Any]:
        """As the graph has it."""
        return np.ascontiguousarray(np.moveaxis(array, range(len(self._places)), self._places))

    @property
    def _places(self) -> tuple[int, ...]:
        return (self.batch,) if self.time is None else (self.batch, self.time)


@dataclasses.dataclass(frozen=True)
class LaidOutModel:
    """Runs batches of sequences on such a graph.

    Args:
        model: The graph.
        spec: What it takes and answers, with batch and time in front.
        inputs: Where they are in its inputs,
        state: in its state tensors, in and out, by the input's name,
        outputs: and in its outputs, by name.
        fixed_batch: Whether it runs one sequence at a time.
    """

    model: TensorModel
    spec: SequenceSpec
    inputs: Axes
    state: Mapping[str, Axes]
    outputs: Mapping[str, Axes]
    fixed_batch: bool

    def run(self, inputs: NDArray[Any], lengths: NDArray[np.int64], state: Arrays) -> Arrays:
        """Run one batch; see `OnnxModel.run`."""
        feed = {self.spec.inputs: self.inputs.from_front(inputs)}
        if self.spec.lengths:
            feed[self.spec.lengths] = lengths
        for name, axes in self.state.items():
            feed[name] = axes.from_front(state[name])
        outputs = self.model.run(feed)
        for held in self.spec.state:
            outputs[held.output] = self.state[held.input].to_front(outputs[held.output])
        for name, axes in self.outputs.items():
            outputs[name] = axes.to_front(outputs[name])
        return outputs
