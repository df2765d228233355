"""A graph of any tool that a few lines describe as a sequence model: its axes are found by trying.

Where the batch and the time lie differs from tool to tool (Keras: batch first; PyTorch's recurrent
layers: time first, and the batch second in their states), so the graph is run with batches and
times of several sizes, to see which axes of its outputs follow.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import onnxruntime

from service.datatypes import DATATYPES
from service.description import DescribedState, Description
from service.errors import BundleError
from service.graphs.layout import Axes, LaidOutModel
from service.graphs.model import Arrays
from service.graphs.spec import OutputSpec, SequenceSpec, StateSpec, TensorSpec
from service.graphs.tensors import TensorModel
from service.manifest import MANIFEST_FILE

Shapes = dict[str, tuple[int, ...]]

BATCH, OTHER_BATCH = 2, 3
TIME, OTHER_TIME = 3, 5


def describe(session: onnxruntime.InferenceSession, description: Description) -> LaidOutModel:
    """The sequence model that a graph is.

    Args:
        session: Of the graph.
        description: What it is said to be.

    Raises:
        BundleError: The graph is not so; the description's field is named.
    """
    model = TensorModel(session)
    given = {spec.name: spec for spec in model.signature.inputs}
    time_axis = description.inputs.time_axis
    at = Axes(1 - time_axis, time_axis)
    inputs = _find_inputs(given, description)
    fixed_batch = inputs.shape[at.batch] == 1
    _check_lengths(given, description.inputs.lengths)
    state_axes = {s.input: _state_axes(given, s, fixed_batch) for s in description.state}
    _check_others(given, description)
    outputs = {output.name for output in model.signature.outputs}
    for state in description.state:
        if state.output not in outputs:
            raise BundleError(f"state: the graph has no output {state.output!r}")
    spec = SequenceSpec(
        inputs=inputs.name,
        step_shape=inputs.shape[2:],
        outputs=(),
        max_length=description.limits.max_length,
        lengths=description.inputs.lengths,
        state=tuple(_state_spec(given, s, state_axes[s.input]) for s in description.state),
        dtype=DATATYPES[inputs.datatype],
    )
    tried = LaidOutModel(model, spec, at, state_axes, {}, fixed_batch)
    return _with_outputs(tried)


def _find_inputs(given: dict[str, TensorSpec], description: Description) -> TensorSpec:
    name, axis = description.inputs.name, description.inputs.time_axis
    spec = given.get(name)
    if spec is None:
        raise BundleError(f"inputs.name: the graph has no input {name!r}, but {', '.join(given)}")
    shape = list(spec.shape)
    if len(shape) < 2 or DATATYPES[spec.datatype].hasobject or spec.datatype == "BF16":
        raise BundleError(
            f"inputs.name: {name} is {spec.datatype} {shape}, no numbers (batch, time, …)"
        )
    if shape[axis] != -1:
        raise BundleError(
            f"inputs.time_axis: axis {axis} of {name} is always {shape[axis]} long; "
            f"without {MANIFEST_FILE} the graph takes whole tensors"
        )
    if shape[1 - axis] not in (-1, 1):
        raise BundleError(f"inputs: {name} {shape} takes batches of {shape[1 - axis]} alone")
    if -1 in shape[2:]:
        raise BundleError(f"inputs: {name} {shape} has steps of any size")
    return spec


def _check_lengths(given: dict[str, TensorSpec], name: str | None) -> None:
    if name is None:
        return
    spec = given.get(name)
    if spec is None or spec.datatype != "INT64" or len(spec.shape) != 1:
        raise BundleError(f"inputs.lengths: the graph has no input {name!r}, INT64 (batch,)")


def _state_axes(given: dict[str, TensorSpec], state: DescribedState, fixed_batch: bool) -> Axes:
    spec = given.get(state.input)
    if spec is None:
        raise BundleError(f"state: the graph has no input {state.input!r}")
    if spec.datatype != "FP32":
        raise BundleError(f"state: {state.input} is {spec.datatype}, not FP32")
    if state.batch_axis is not None:
        if state.batch_axis >= len(spec.shape):
            raise BundleError(f"state: {state.input} has no axis {state.batch_axis}")
        return Axes(state.batch_axis)
    any_size = [place for place, axis in enumerate(spec.shape) if axis == -1]
    if fixed_batch and not any_size:
        any_size = [place for place, axis in enumerate(spec.shape) if axis == 1][-1:]
    if len(any_size) != 1:
        raise BundleError(
            f"state: which axis of {state.input} {list(spec.shape)} is the batch's? "
            "say it in batch_axis"
        )
    return Axes(any_size[0])


def _state_spec(given: dict[str, TensorSpec], state: DescribedState, axes: Axes) -> StateSpec:
    shape = list(given[state.input].shape)
    del shape[axes.batch]
    if -1 in shape:
        raise BundleError(f"state: {state.input} has more than one axis of any size")
    return StateSpec(state.input, state.output, tuple(shape), state.initial)


def _check_others(given: dict[str, TensorSpec], description: Description) -> None:
    described = {description.inputs.name, description.inputs.lengths}
    described |= {state.input for state in description.state}
    for spec in given.values():
        if spec.name not in described and not spec.is_optional:
            raise BundleError(f"the graph's input {spec.name} is neither inputs, lengths nor state")


def _with_outputs(model: LaidOutModel) -> LaidOutModel:
    """With the outputs that are no state, by which of their axes follow the batch and the time."""
    batch = 1 if model.fixed_batch else BATCH
    shapes = _shapes_of(model, batch, TIME)
    longer = _shapes_of(model, batch, OTHER_TIME)
    wider = None if model.fixed_batch else _shapes_of(model, OTHER_BATCH, TIME)
    specs, all_axes = [], {}
    for output in model.model.signature.outputs:
        if output.name in {state.output for state in model.spec.state}:
            continue
        shape = shapes[output.name]
        times = _changed(shape, longer[output.name])
        # where the batch is always 1, it is taken for the first axis that is not the time's
        batches = _changed(shape, wider[output.name]) if wider else [int(times == [0])]
        if len(batches) != 1 or len(times) > 1 or DATATYPES[output.datatype].hasobject:
            raise BundleError(
                f"output {output.name} {list(shape)} is neither of each sequence nor of each step"
            )
        axes = all_axes[output.name] = Axes(batches[0], times[0] if times else None)
        rest = tuple(size for place, size in enumerate(shape) if place not in axes)
        specs.append(OutputSpec(output.name, rest, bool(times), DATATYPES[output.datatype]))
    if not specs:
        raise BundleError("the graph has no output beside its state")
    spec = dataclasses.replace(model.spec, outputs=tuple(specs))
    return dataclasses.replace(model, spec=spec, outputs=all_axes)


def _changed(shape: tuple[int, ...], other: tuple[int, ...]) -> list[int]:
    return [place for place, size in enumerate(shape) if other[place] != size]


def _shapes_of(model: LaidOutModel, batch_size: int, num_steps: int) -> Shapes:
    spec = model.spec
    inputs = np.zeros((batch_size, num_steps, *spec.step_shape), spec.dtype)
    lengths = np.full(batch_size, num_steps, dtype=np.int64)
    state: Arrays = {
        s.input: np.full((batch_size, *s.shape), s.initial, np.float32) for s in spec.state
    }
    try:
        outputs = model.run(inputs, lengths, state)
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise BundleError(
            f"the graph does not run on {batch_size} sequences of {num_steps} steps: {reason}"
        ) from error
    return {name: output.shape for name, output in outputs.items()}
