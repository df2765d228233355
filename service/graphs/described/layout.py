"""A graph whose tensors lie otherwise than the engine's, and that asks for more than it gives.

The engine has sequences, their lengths and their state, batch and time in front. A feed makes one
input of the graph of these: moved to other axes, of another type, as a mask, or always the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.graphs.model import Arrays
from service.graphs.spec import FLOAT, SequenceSpec
from service.graphs.tensors import TensorModel

Array = NDArray[Any]


class Axes(NamedTuple):
    """Where a graph's tensor has its batch and its time; None: nowhere."""

    batch: int | None
    time: int | None = None

    @property
    def places(self) -> tuple[int, ...]:
        """Those that there are, in the order in which the engine has them in front."""
        return tuple(place for place in self if place is not None)

    def to_front(self, array: Array) -> Array:
        """As (batch, time, …), or (batch, …); where the graph has no batch, of a single row."""
        moved = np.moveaxis(array, self.places, range(len(self.places)))
        return np.asarray(moved[None] if self.batch is None else moved, order="C")

    def from_front(self, array: Array) -> Array:
        """As the graph has it."""
        held = array[0] if self.batch is None else array
        moved = np.moveaxis(held, range(len(self.places)), self.places)
        return np.asarray(moved, order="C")  # whatever its axes, even none


class Batch(NamedTuple):
    """What the engine gives a run."""

    inputs: Array
    """(batch, time, *step_shape); or of a single step, (batch, *step_shape)."""
    lengths: NDArray[np.int64]
    state: Arrays

    def is_real(self) -> NDArray[np.bool_]:
        """Which steps are no padding, (batch, time)."""
        mask: NDArray[np.bool_] = np.arange(self.inputs.shape[1]) < self.lengths[:, None]
        return mask


Source = Callable[[Batch], Array]
"""Makes what a feed is of, batch and time in front."""


def steps(batch: Batch) -> Array:
    """The sequences."""
    return batch.inputs


def lengths(batch: Batch) -> Array:
    """How long each is."""
    return batch.lengths


def mask(batch: Batch) -> Array:
    """1 at real steps."""
    return batch.is_real()


def padding_mask(batch: Batch) -> Array:
    """1 at padding."""
    return ~batch.is_real()


def state(name: str) -> Source:
    """A state tensor, by the graph's name of its input."""
    return lambda batch: batch.state[name]


def constant(value: Array, axes: Axes) -> Source:
    """Always the same: for the whole run, each sequence or each step, as the axes say."""

    def source(batch: Batch) -> Array:
        front = batch.inputs.shape[: 1 if axes.time is None else 2]
        return np.broadcast_to(value, (*front, *value.shape))

    return source


class Feed(NamedTuple):
    """How one input of a graph is made.

    Args:
        name: The graph's.
        dtype: The graph's.
        axes: Where it has batch and time.
        source: Of its values.
        ones: Places of axes, beside those, that are 1 long.
    """

    name: str
    dtype: np.dtype[Any]
    axes: Axes
    source: Source
    ones: tuple[int, ...] = ()

    def of(self, batch: Batch) -> Array:
        """The input for a run."""
        values = self.source(batch)
        values = values.reshape(*values.shape, *(1 for _ in self.ones))
        return self.axes.from_front(values).astype(self.dtype, copy=False)


@dataclasses.dataclass(frozen=True)
class LaidOutModel:
    """Runs batches of sequences on such a graph.

    Args:
        model: The graph.
        spec: What it takes and answers, with batch and time in front.
        feeds: Its inputs.
        outputs: Where batch and time are in its outputs, by name; those of its state too.
        fixed_batch: Whether it runs one sequence at a time.
        by_steps: Whether it runs one step at a time.
    """

    model: TensorModel
    spec: SequenceSpec
    feeds: tuple[Feed, ...]
    outputs: Mapping[str, Axes]
    fixed_batch: bool
    by_steps: bool = False

    def run(self, inputs: Array, lengths: NDArray[np.int64], state: Arrays) -> Arrays:
        """Run one batch; see `OnnxModel.run`."""
        batch = Batch(inputs, lengths, state)
        return self._run_by_steps(batch) if self.by_steps else self._run(batch)

    def run_graph(self, batch: Batch) -> Arrays:
        """What the graph gives to a batch, all its outputs as it has them."""
        return self.model.run({feed.name: feed.of(batch) for feed in self.feeds})

    def _run(self, batch: Batch) -> Arrays:
        outputs = self.run_graph(batch)
        outputs = {name: axes.to_front(outputs[name]) for name, axes in self.outputs.items()}
        for held in self.spec.state:
            outputs[held.output] = outputs[held.output].astype(FLOAT, copy=False)
        return outputs

    def _run_by_steps(self, batch: Batch) -> Arrays:
        """Step after step, each of the sequences that are not over; their outputs are of each."""
        num_rows, num_steps = batch.inputs.shape[:2]
        held = {name: values.copy() for name, values in batch.state.items()}
        found: Arrays = {
            it.name: np.zeros((num_rows, num_steps, *it.shape), it.dtype)
            for it in self.spec.outputs
        }
        for step in range(num_steps):
            rows = np.flatnonzero(batch.lengths > step)
            here = {name: values[rows] for name, values in held.items()}
            outputs = self._run(Batch(batch.inputs[rows, step], batch.lengths[rows], here))
            for pair in self.spec.state:
                held[pair.input][rows] = outputs[pair.output]
            for name, values in found.items():
                values[rows, step] = outputs[name]
        return found | {pair.output: held[pair.input] for pair in self.spec.state}
