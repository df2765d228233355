"""What a graph takes and answers: as tensors, for any; as sequences, for those that a scheduler can
take apart and put together.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from service import native
from service.datatypes import datatype_of

if TYPE_CHECKING:  # else a process that only tries graphs would load all of a manifest
    from service.manifest import Contract

FLOAT = np.dtype(np.float32)

Axis = tuple[str, int]
"""An input's name, and which of its axes."""
Axes = frozenset[Axis]


class TensorSpec(NamedTuple):
    """One tensor as a client sees it; -1 is an axis of any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    is_optional: bool = False
    has_rank: bool = True
    """Whether the file says how many axes it has; if not, the shape is what was seen at load."""

    def has_rows(self, batches: bool) -> bool:
        """Whether its first axis is the batch, of a model that runs batches or does not."""
        return batches and not (self.is_optional and -1 not in self.shape[:1])

    def is_single(self, batches: bool) -> bool:
        """Whether it is one value, or one a row: Triton's clients give that an axis of one."""
        return self.has_rank and len(self.shape) == int(self.has_rows(batches))


class Signature(NamedTuple):
    """The tensors that a model takes and answers."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    may_be_empty: frozenset[Axes] = frozenset()
    """Which axes of any size the graph was seen to take with length 0, all of a set at once."""

    def output(self, name: str) -> TensorSpec:
        """The output of this name."""
        return next(spec for spec in self.outputs if spec.name == name)


class StepRule(NamedTuple):
    """How many steps an output has of a sequence: floor((steps * factor + offset) / stride).

    Strided convolutions, one after another, are of this form; so is an output that has more steps.
    """

    factor: int = 1
    offset: int = 0
    stride: int = 1

    def num_steps(self, length: int) -> int:
        """The output's steps for so many of the input's."""
        return (length * self.factor + self.offset) // self.stride


EVERY_STEP = StepRule()


class OutputSpec(NamedTuple):
    """An output (batch, *shape); or of each step, (batch, steps, *shape): by the rule, as many."""

    name: str
    shape: tuple[int, ...]
    per_step: bool = False
    dtype: np.dtype[Any] = FLOAT
    rule: StepRule = EVERY_STEP

    def axes(self, batch_size: int, longest: int) -> tuple[int, ...]:
        """The output's axes for a batch whose longest sequence has so many steps."""
        time = (self.rule.num_steps(longest),) if self.per_step else ()
        return (batch_size, *time, *self.shape)


class StateSpec(NamedTuple):
    """A recurrent state tensor, float32 (batch, *shape): an explicit pair of graph names."""

    input: str
    output: str
    shape: tuple[int, ...]
    initial: float = 0.0


@dataclasses.dataclass(frozen=True)
class SequenceSpec:
    """A graph that runs on sequences.

    Args:
        inputs: Name of the input (batch, time, *step_shape).
        step_shape: (features,), or () of token ids.
        outputs: What it answers; one at least.
        max_length: Steps in one sequence, at most.
        lengths: Name of the input (batch,), int64, how long each sequence is: what clients say.
        is_ragged: Whether sequences of different lengths run together; if not, those of equal
            length alone.
        min_length: Steps in one sequence, at least.
        state: What it carries from chunk to chunk; without any, it needs all steps at once.
        dtype: Of the inputs.
        num_tokens: How many ids each value of a step has, counted from 0; () where any number is
            as good, or none is known to be bad.
    """

    inputs: str
    step_shape: tuple[int, ...]
    outputs: tuple[OutputSpec, ...]
    max_length: int
    lengths: str = "lengths"
    is_ragged: bool = True
    min_length: int = 1
    state: tuple[StateSpec, ...] = ()
    dtype: np.dtype[Any] = FLOAT
    num_tokens: tuple[int, ...] = ()

    @property
    def suits_lane(self) -> bool:
        """Whether the lane can learn such requests: float32 goes in, and comes out of all steps."""
        return (
            self.dtype == FLOAT
            and self.min_length == 1
            and all(it.dtype == FLOAT and it.rule == EVERY_STEP for it in self.outputs)
        )

    def signature(self) -> Signature:
        """As a client sees it."""
        inputs = (
            TensorSpec(self.inputs, datatype_of(self.dtype), (-1, -1, *self.step_shape)),
            TensorSpec(self.lengths, "INT64", (-1,), is_optional=True),
        )
        outputs = (
            TensorSpec(
                it.name, datatype_of(it.dtype), (-1, *([-1] if it.per_step else []), *it.shape)
            )
            for it in self.outputs
        )
        return Signature(inputs, tuple(outputs))

    def num_values(self, lengths: Sequence[int]) -> int:
        """Values of all outputs of a batch of sequences of these lengths."""
        return sum(math.prod(it.axes(len(lengths), max(lengths))) for it in self.outputs)

    def native(self) -> native.GraphSpec:
        """The same, for `native/schedule/`."""
        return native.GraphSpec(
            step_bytes=math.prod(self.step_shape) * self.dtype.itemsize,
            is_ragged=self.is_ragged,
            outputs=[
                (it.per_step, math.prod(it.shape) * it.dtype.itemsize, *it.rule)
                for it in self.outputs
            ],
            state=[(state.shape, state.initial) for state in self.state],
        )


def state_specs(manifest: Contract) -> tuple[StateSpec, ...]:
    """The state that a bundle's graph carries."""
    return tuple(
        StateSpec(pair.input, pair.output, tuple(pair.shape), pair.initial)
        for pair in manifest.state
    )


def spec_of(manifest: Contract) -> SequenceSpec:
    """What a bundle's graph takes and answers."""
    names, inputs = manifest.outputs, manifest.inputs
    outputs = [OutputSpec(names.logits, (names.width,), names.per_step)]
    if names.weights:
        outputs.append(OutputSpec(names.weights, (), per_step=True))
    return SequenceSpec(
        inputs=inputs.name,
        step_shape=inputs.step_shape,
        outputs=tuple(outputs),
        max_length=manifest.limits.max_length,
        lengths=inputs.lengths,
        state=state_specs(manifest),
        dtype=FLOAT if inputs.features else np.dtype(np.int64),
        num_tokens=tuple(inputs.tokens),
    )
