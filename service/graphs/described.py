"""A graph of any tool that a few lines describe as a sequence model: its axes are found by trying.

Where the batch and the time lie differs from tool to tool (Keras: batch first; PyTorch's recurrent
layers: time first, and the batch second in their states), so the graph is run with batches and
times of several sizes, to see which axes of its outputs follow.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from service.datatypes import DATATYPES
from service.description import DescribedState, Description
from service.errors import BundleError
from service.graphs.model import Arrays
from service.graphs.spec import OutputSpec, SequenceSpec, StateSpec, TensorSpec
from service.graphs.tensors import TensorModel
from service.manifest import MANIFEST_FILE

BATCH, TIME = 2, 3
OTHER_BATCH, OTHER_TIME = 3, 5


class Axes(NamedTuple):
    """Where a tensor has its batch, and its time if it has one."""

    batch: int
    time: int | None = None

    def to_front(self, array: NDArray[Any]) -> NDArray[Any]:
        """As (batch, time, …), or (batch, …)."""
        return np.ascontiguousarray(np.moveaxis(array, self._places(), self._front()))

    def from_front(self, array: NDArray[Any]) -> NDArray[Any]:
        """As the graph has it."""
        return np.ascontiguousarray(np.moveaxis(array, self._front(), self._places()))

    def _places(self) -> list[int]:
        return [self.batch] if self.time is None else [self.batch, self.time]

    def _front(self) -> list[int]:
        return [0] if self.time is None else [0, 1]


class DescribedModel:
    """Runs batches of sequences on such a graph.

    Args:
        session: Of the graph.
        description: What it is.

    Raises:
        BundleError: The graph is not as it is described.
    """

    def __init__(self, session: onnxruntime.InferenceSession, description: Description) -> None:
        self._model = TensorModel(session)
        self._description = description
        self._given = {spec.name: spec for spec in self._model.signature.inputs}
        self._inputs = Axes(1 - description.inputs.time_axis, description.inputs.time_axis)
        inputs = self._find_inputs()
        self.fixed_batch = inputs.shape[self._inputs.batch] != -1
        """Whether the graph runs one sequence at a time."""
        self._state_axes = [self._state_axis(state) for state in description.state]
        self._check_others()
        states = tuple(map(self._state_spec, description.state, self._state_axes))
        self.spec = SequenceSpec(  # as far as it is known: enough to try the graph
            inputs=inputs.name,
            step_shape=inputs.shape[2:],
            outputs=(),
            max_length=description.limits.max_length,
            lengths=description.inputs.lengths,
            state=states,
            dtype=DATATYPES[inputs.datatype],
        )
        self._output_axes: dict[str, Axes] = {}
        outputs = self._find_outputs()
        self.spec = SequenceSpec(**{**vars(self.spec), "outputs": outputs})

    def run(self, inputs: NDArray[Any], lengths: NDArray[np.int64], state: Arrays) -> Arrays:
        """Run one batch; see `OnnxModel.run`."""
        outputs = self._run(inputs, lengths, state)
        for name, axes in self._output_axes.items():
            outputs[name] = axes.to_front(outputs[name])
        return outputs

    def _run(self, inputs: NDArray[Any], lengths: NDArray[np.int64], state: Arrays) -> Arrays:
        feed = {self.spec.inputs: self._inputs.from_front(inputs)}
        if self.spec.lengths:
            feed[self.spec.lengths] = lengths
        for held, axes in zip(self.spec.state, self._state_axes, strict=True):
            feed[held.input] = axes.from_front(state[held.input])
        outputs = self._model.run(feed)
        for held, axes in zip(self.spec.state, self._state_axes, strict=True):
            if held.output not in outputs:
                raise BundleError(f"the graph has no output {held.output}")
            outputs[held.output] = axes.to_front(outputs[held.output])
        return outputs

    def _find_inputs(self) -> TensorSpec:
        described = self._description.inputs
        spec = self._given.get(described.name)
        if spec is None:
            raise BundleError(
                f"inputs.name: the graph has no input {described.name!r}, it has "
                f"{', '.join(self._given)}"
            )
        if len(spec.shape) < 2 or DATATYPES[spec.datatype].hasobject or spec.datatype == "BF16":
            raise BundleError(
                f"inputs.name: {spec.name} is {spec.datatype} {list(spec.shape)}, not numbers "
                "(batch, time, …)"
            )
        if spec.shape[described.time_axis] != -1:
            raise BundleError(
                f"inputs.time_axis: axis {described.time_axis} of {spec.name} is always "
                f"{spec.shape[described.time_axis]} long; without {MANIFEST_FILE} it "
                "takes whole tensors"
            )
        if spec.shape[1 - described.time_axis] not in (-1, 1):
            raise BundleError(f"inputs: {spec.name} {list(spec.shape)} is of a fixed batch")
        if -1 in spec.shape[2:]:
            raise BundleError(f"inputs: {spec.name} {list(spec.shape)} has steps of any size")
        return spec

    def _state_axis(self, state: DescribedState) -> Axes:
        spec = self._given.get(state.input)
        if spec is None:
            raise BundleError(f"state: the graph has no input {state.input!r}")
        if spec.datatype != "FP32":
            raise BundleError(f"state: {state.input} is {spec.datatype}, not FP32")
        if state.batch_axis is not None:
            return Axes(state.batch_axis)
        symbolic = [place for place, axis in enumerate(spec.shape) if axis == -1]
        if not symbolic and self.fixed_batch:
            symbolic = [place for place, axis in enumerate(spec.shape) if axis == 1][-1:]
        if len(symbolic) != 1:
            raise BundleError(
                f"state: which axis of {state.input} {list(spec.shape)} is the batch's? "
                "say it in batch_axis"
            )
        return Axes(symbolic[0])

    def _state_spec(self, state: DescribedState, axes: Axes) -> StateSpec:
        shape = list(self._given[state.input].shape)
        if axes.batch >= len(shape):
            raise BundleError(f"state: {state.input} {shape} has no axis {axes.batch}")
        del shape[axes.batch]
        if -1 in shape:
            raise BundleError(f"state: {state.input} has more than one axis of any size")
        return StateSpec(state.input, state.output, tuple(shape), state.initial)

    def _check_others(self) -> None:
        described = self._description
        known = {described.inputs.name, *(state.input for state in described.state)}
        if lengths := described.inputs.lengths:
            spec = self._given.get(lengths)
            if spec is None or spec.datatype != "INT64" or len(spec.shape) != 1:
                raise BundleError(f"inputs.lengths: the graph has no input {lengths!r}, INT64 [-1]")
            known.add(lengths)
        others = [s.name for s in self._given.values() if s.name not in known and not s.is_optional]
        if others:
            raise BundleError(
                f"the graph's input {others[0]} is neither inputs, lengths nor state here"
            )

    def _find_outputs(self) -> tuple[OutputSpec, ...]:
        """Outputs that are not state, and which of their axes follow the batch and the time."""
        batch = 1 if self.fixed_batch else BATCH
        shapes = self._shapes(batch, TIME)
        longer = self._shapes(batch, OTHER_TIME)
        wider = shapes if self.fixed_batch else self._shapes(OTHER_BATCH, TIME)
        states = {state.output for state in self.spec.state}
        found = []
        for spec in self._model.signature.outputs:
            if spec.name in states:
                continue
            shape = shapes[spec.name]
            times = [i for i, axis in enumerate(shape) if longer[spec.name][i] != axis]
            batches = [i for i, axis in enumerate(shape) if wider[spec.name][i] != axis]
            if self.fixed_batch:
                batches = [1 - times[0] if times and times[0] < 2 else 0]
            if len(batches) != 1 or len(times) > 1 or DATATYPES[spec.datatype].hasobject:
                raise BundleError(
                    f"output {spec.name} {list(shape)} is neither of each sequence nor of each step"
                )
            axes = Axes(batches[0], times[0] if times else None)
            self._output_axes[spec.name] = axes
            rest = (axis for i, axis in enumerate(shape) if i not in axes)
            dtype = DATATYPES[spec.datatype]
            found.append(OutputSpec(spec.name, tuple(rest), axes.time is not None, dtype))
        if not found:
            raise BundleError("the graph has no output beside its state")
        return tuple(found)

    def _shapes(self, batch_size: int, num_steps: int) -> dict[str, tuple[int, ...]]:
        spec = self.spec
        inputs = np.zeros((batch_size, num_steps, *spec.step_shape), spec.dtype)
        lengths = np.full(batch_size, num_steps, dtype=np.int64)
        state: Arrays = {
            s.input: np.full((batch_size, *s.shape), s.initial, np.float32) for s in spec.state
        }
        try:
            outputs = self._run(inputs, lengths, state)
        except BundleError:
            raise
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise BundleError(
                f"the graph does not run on {batch_size} sequences of {num_steps} steps: {reason}"
            ) from error
        return {name: output.shape for name, output in outputs.items()}
