"""A graph of any tool that a few lines describe as a sequence model.

What the lines say of its inputs is held against its signature here, and becomes the feeds that
`layout.py` applies; what its outputs are is found by running it (`trials.py`).
"""

from __future__ import annotations

from typing import NamedTuple

import onnxruntime

from service.datatypes import DATATYPES
from service.description import DescribedInputs, DescribedState, Description
from service.errors import BundleError
from service.graphs.described import layout
from service.graphs.described.constants import constant_feed
from service.graphs.described.layout import Axes, Feed, LaidOutModel
from service.graphs.described.trials import with_outputs
from service.graphs.spec import SequenceSpec, StateSpec, TensorSpec
from service.graphs.tensors import TensorModel
from service.manifest import MANIFEST_FILE


class Given(NamedTuple):
    """The graph's inputs by name, and what is known of the one with the sequences."""

    inputs: dict[str, TensorSpec]
    at: Axes
    step_shape: tuple[int, ...]
    fixed_batch: bool

    def get(self, name: str, field: str) -> TensorSpec:
        """An input of the graph that is a tensor of numbers.

        Raises:
            BundleError: There is none; the description's field is named.
        """
        spec = self.inputs.get(name)
        if spec is None:
            raise BundleError(f"{field}: the graph has no input {name!r}, but {self.names}")
        if not is_numeric(spec):
            raise BundleError(f"{field}: {name} is {spec.datatype}, no numbers")
        return spec

    @property
    def names(self) -> str:
        """Of all its inputs."""
        return ", ".join(self.inputs)


def is_numeric(spec: TensorSpec) -> bool:
    """Whether NumPy has numbers of its type."""
    return spec.datatype != "BF16" and not DATATYPES[spec.datatype].hasobject


def describe(session: onnxruntime.InferenceSession, description: Description) -> LaidOutModel:
    """The sequence model that a graph is.

    Args:
        session: Of the graph.
        description: What it is said to be.

    Raises:
        BundleError: The graph is not so; the description's field is named.
    """
    _check_outputs([output.name for output in session.get_outputs()], description)
    wanted = description.outputs
    if wanted is not None:
        wanted = [*wanted, *(pair.output for pair in description.state)]
    model = TensorModel(session, outputs=wanted)
    given = _given(model.signature.inputs, description.inputs)
    states = [_state(given, pair) for pair in description.state]
    feeds = (
        *_sequence_feeds(given, description.inputs),
        *(feed for feed, _ in states),
        *(constant_feed(given, name, value) for name, value in description.constants.items()),
    )
    _check_all_fed(given, [feed.name for feed in feeds])
    inputs, by_steps = description.inputs, given.at.time is None
    if by_steps and not states:
        raise BundleError(
            "state: a graph that takes a single step needs some, that it carries to the next; "
            f"without {MANIFEST_FILE} the graph takes whole tensors"
        )
    spec = SequenceSpec(
        inputs=inputs.name,
        step_shape=given.step_shape,
        outputs=(),
        max_length=description.limits.max_length,
        lengths=inputs.lengths or "lengths",
        is_ragged=by_steps or bool(inputs.lengths or inputs.mask or inputs.padding_mask),
        state=tuple(state for _, state in states),
        dtype=DATATYPES[given.inputs[inputs.name].datatype],
    )
    axes = {state.output: feed.axes for feed, state in states}
    tried = LaidOutModel(model, spec, feeds, axes, given.fixed_batch, by_steps)
    return with_outputs(tried, description.limits.min_length)


def _check_outputs(names: list[str], description: Description) -> None:
    fields = {"outputs": description.outputs or []}
    fields |= {"state": [pair.output for pair in description.state]}
    for field, wanted in fields.items():
        for name in wanted:
            if name not in names:
                there = ", ".join(names)
                raise BundleError(f"{field}: the graph has no output {name!r}, but {there}")


def _given(inputs: tuple[TensorSpec, ...], said: DescribedInputs) -> Given:
    """What the graph has, held against what is said of the sequences."""
    name, at = said.name, Axes(said.batch, said.time_axis)
    found = Given({spec.name: spec for spec in inputs}, at, (), False)
    shape = list(found.get(name, "inputs.name").shape)
    for field, axis in (("time_axis", at.time), ("batch_axis", at.batch)):
        if axis is not None and axis >= len(shape):
            raise BundleError(
                f"inputs.{field}: {name} {shape} has no axis {axis}; write another, or null"
            )
    if at.time is not None and shape[at.time] != -1:
        raise BundleError(
            f"inputs.time_axis: axis {at.time} of {name} is always {shape[at.time]} long. If that "
            "is the time, export the graph again with a time of any size (dynamic_shapes, "
            "docs/export.md); else write the axis of the time, or null if a run takes a single "
            f"step. Or without {MANIFEST_FILE} the graph takes whole tensors"
        )
    if at.batch is not None and shape[at.batch] not in (-1, 1):
        raise BundleError(
            f"inputs.batch_axis: {name} {shape} takes batches of {shape[at.batch]} alone; "
            "write the axis of the batch, or null if there is none"
        )
    rest = [size for axis, size in enumerate(shape) if axis not in at.places]
    fixed_batch = at.batch is None or shape[at.batch] == 1
    step_shape = _sizes(rest, said.step_shape, f"inputs.step_shape: a step of {name}")
    return found._replace(step_shape=step_shape, fixed_batch=fixed_batch)


def _sizes(found: list[int], said: list[int] | None, what: str) -> tuple[int, ...]:
    """The sizes of some axes, where the graph leaves them open those that are said."""
    sizes = found if said is None else said
    fits = len(sizes) == len(found)
    if not fits or any(a not in (-1, b) for a, b in zip(found, sizes, strict=True)):
        raise BundleError(f"{what} is {found} in the graph, not {sizes}")
    if -1 in sizes:
        raise BundleError(f"{what} is {found}, -1 of any size: write the sizes")
    return tuple(sizes)


def _sequence_feeds(given: Given, said: DescribedInputs) -> list[Feed]:
    """The sequences, and what says how long they are."""
    dtype = DATATYPES[given.inputs[said.name].datatype]
    feeds = [Feed(said.name, dtype, given.at, layout.steps)]
    if said.lengths is not None:
        feeds.append(_lengths(given, said.lengths))
    masks = {"mask": layout.mask, "padding_mask": layout.padding_mask}
    for field, source in masks.items():
        name = getattr(said, field)
        if name is not None:
            axes, ones = _mask_axes(given, name, f"inputs.{field}")
            feeds.append(Feed(name, DATATYPES[given.inputs[name].datatype], axes, source, ones))
    return feeds


def _lengths(given: Given, name: str) -> Feed:
    spec = given.get(name, "inputs.lengths")
    rank = len(spec.shape)
    if rank > 1 or spec.datatype == "BOOL" or (rank == 0 and not given.fixed_batch):
        raise BundleError(
            f"inputs.lengths: {name} is {spec.datatype} {list(spec.shape)}, no numbers (batch,)"
        )
    return Feed(name, DATATYPES[spec.datatype], Axes(0 if rank else None), layout.lengths)


def _mask_axes(given: Given, name: str, field: str) -> tuple[Axes, tuple[int, ...]]:
    """Where a mask has batch and time, and its axes that are 1 long."""
    shape = given.get(name, field).shape
    any_size = [place for place, size in enumerate(shape) if size == -1]
    ones = tuple(place for place, size in enumerate(shape) if size == 1)
    wanted = 1 if given.fixed_batch else 2
    if len(any_size) != wanted or len(any_size) + len(ones) != len(shape):
        axes = "(time,)" if given.fixed_batch else "(batch, time)"
        raise BundleError(f"{field}: {name} is {list(shape)}, not {axes} and axes of 1")
    return Axes(None if given.fixed_batch else any_size[0], any_size[-1]), ones


def _state(given: Given, said: DescribedState) -> tuple[Feed, StateSpec]:
    spec = given.get(said.input, "state")
    axes = Axes(_state_batch(given, said, spec))
    rest = [size for axis, size in enumerate(spec.shape) if axis not in axes.places]
    shape = _sizes(rest, said.shape, f"state.shape: {said.input} without the batch")
    feed = Feed(said.input, DATATYPES[spec.datatype], axes, layout.state(said.input))
    return feed, StateSpec(said.input, said.output, shape, said.initial)


def _state_batch(given: Given, said: DescribedState, spec: TensorSpec) -> int | None:
    if said.batch_axis is not None:
        if said.batch_axis >= len(spec.shape):
            raise BundleError(f"state.batch_axis: {said.input} has no axis {said.batch_axis}")
        return said.batch_axis
    any_size = [place for place, size in enumerate(spec.shape) if size == -1]
    if given.fixed_batch:  # wherever its axis of 1 is
        return None
    if len(any_size) != 1:
        raise BundleError(
            f"state: which axis of {said.input} {list(spec.shape)} is the batch's? "
            "say it in batch_axis"
        )
    return any_size[0]


def _check_all_fed(given: Given, fed: list[str]) -> None:
    for spec in given.inputs.values():
        if fed.count(spec.name) > 1:
            raise BundleError(f"the graph's input {spec.name} is described twice")
        if spec.name not in fed and not spec.is_optional:
            raise BundleError(
                f"the graph's input {spec.name} is not described: say it in inputs.lengths, "
                "inputs.mask, state or constants"
            )
