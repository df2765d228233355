"""What a described graph answers, found by running it.

Where the batch and the time lie differs from tool to tool (Keras: batch first; PyTorch's recurrent
layers: time first, and the batch second in their states), so the graph is run with batches and
times of several sizes, to see which axes of its outputs follow. An output may have fewer steps than
the input, or more: by which rule is found likewise.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Callable

import numpy as np

from service.datatypes import DATATYPES
from service.errors import BundleError
from service.graphs.described.layout import Axes, Batch, LaidOutModel
from service.graphs.spec import EVERY_STEP, OutputSpec, StepRule, TensorSpec

Shapes = dict[str, tuple[int, ...]]

BATCH, OTHER_BATCH = 2, 3
STEPS = 3
FURTHER = (1_024, 128, 2)
"""How many steps more are tried, the first that the graph takes: strides up to it are seen."""
MOST_TRIED = 4_096
"""Steps that a shortest length is looked for up to."""


class _Trials:
    """Runs of a graph, each shape once."""

    def __init__(self, model: LaidOutModel) -> None:
        self._model = model
        self._shapes: dict[tuple[int, int], Shapes] = {}

    def shapes(self, num_steps: int, batch_size: int = 1) -> Shapes:
        """Of all outputs.

        Raises:
            BundleError: The graph does not run so.
        """
        size = (batch_size, num_steps)
        if size not in self._shapes:
            self._shapes[size] = self._run(*size)
        return self._shapes[size]

    def runs(self, num_steps: int) -> bool:
        """Whether it takes so many steps, and answers something."""
        try:
            return all(0 not in shape for shape in self.shapes(num_steps).values())
        except BundleError:
            return False

    def _run(self, batch_size: int, num_steps: int) -> Shapes:
        spec = self._model.spec
        time = () if self._model.by_steps else (num_steps,)
        batch = Batch(
            np.zeros((batch_size, *time, *spec.step_shape), spec.dtype),
            np.full(batch_size, num_steps, dtype=np.int64),
            {s.input: np.full((batch_size, *s.shape), s.initial, np.float32) for s in spec.state},
        )
        try:
            outputs = self._model.run_graph(batch)
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise BundleError(
                f"the graph does not run on {batch_size} sequences of {num_steps} steps: {reason}"
            ) from error
        return {name: output.shape for name, output in outputs.items()}


def with_outputs(model: LaidOutModel, min_length: int | None) -> LaidOutModel:
    """With the outputs that are no state, and the shortest sequence that the graph takes.

    Args:
        model: Whose feeds are known; of its outputs the state's alone.
        min_length: As is said; None: to be found.

    Raises:
        BundleError: The graph does not run, or an output is neither of sequences nor of steps.
    """
    trials = _Trials(model)
    shortest = min_length or _shortest(trials, model.spec.max_length)
    if model.spec.state and shortest > 1:
        trials.shapes(1)  # says why it does not run
        raise BundleError("limits.min_length: a graph with state must take a single step")
    model = dataclasses.replace(model, spec=dataclasses.replace(model.spec, min_length=shortest))
    lengths = (1, 1) if model.by_steps else _two_lengths(trials, shortest, model.spec.max_length)
    _check_state(model, trials, lengths[0])
    held = {state.output for state in model.spec.state}
    found = {
        output.name: _output(model, trials, output, lengths)
        for output in model.model.signature.outputs
        if output.name not in held
    }
    if not found:
        raise BundleError("outputs: the graph has none beside its state")
    spec = dataclasses.replace(model.spec, outputs=tuple(spec for spec, _ in found.values()))
    axes = {name: axes for name, (_, axes) in found.items()}
    return dataclasses.replace(model, spec=spec, outputs={**model.outputs, **axes})


def _shortest(trials: _Trials, max_length: int) -> int:
    """The fewest steps that the graph takes."""
    tried = 1
    while not trials.runs(tried):
        if tried >= min(max_length, MOST_TRIED):
            trials.shapes(min(STEPS, max_length))  # says why it does not run
            raise BundleError("outputs: one has an axis of length 0 however long the input is")
        tried = min(2 * tried, max_length)
    candidates = range(tried // 2 + 1, tried)
    return candidates.start + bisect.bisect_left(candidates, True, key=trials.runs)


def _two_lengths(trials: _Trials, shortest: int, max_length: int) -> tuple[int, int]:
    """Lengths to see by which axes follow the time."""
    first = min(max(shortest, STEPS), max_length)
    for more in FURTHER:
        if (other := min(first + more, max_length)) > first and trials.runs(other):
            return first, other
    if shortest == first:
        raise BundleError(
            f"limits: the graph takes sequences of {first} steps alone; "
            "without model.json it takes whole tensors"
        )
    return shortest, first


def _check_state(model: LaidOutModel, trials: _Trials, num_steps: int) -> None:
    batch_size = 1 if model.fixed_batch else BATCH
    for pair in model.spec.state:
        shape = list(trials.shapes(num_steps, batch_size)[pair.output])
        wanted, axis = list(pair.shape), model.outputs[pair.output].batch
        if axis is not None:
            wanted.insert(axis, batch_size)
        if shape != wanted:
            raise BundleError(
                f"state: of a batch of {batch_size}, {pair.input} is {wanted}, "
                f"{pair.output} {shape}"
            )


def _output(
    model: LaidOutModel, trials: _Trials, output: TensorSpec, lengths: tuple[int, int]
) -> tuple[OutputSpec, Axes]:
    """What an output is, by which of its axes follow the batch and the time."""
    first, other = lengths
    shape = trials.shapes(first)[output.name]
    times = _changed(shape, trials.shapes(other)[output.name])
    batches = _batches(model, trials, output.name, first, times)
    if len(batches) > 1 or len(times) > 1 or batches == times != [] or not _is_numeric(output):
        raise _is_neither(output, shape)
    if not batches and not model.fixed_batch:
        raise _is_neither(output, shape)
    axes = Axes(batches[0] if batches else None, times[0] if times else None)
    rule = EVERY_STEP
    if times:
        place = times[0]
        found = _rule(
            lambda steps: trials.shapes(steps)[output.name][place],
            first,
            other,
            model.spec.max_length,
        )
        if found is None:
            raise BundleError(
                f"output {output.name} has {shape[place]} steps for {first}, by no rule that could "
                "be found; say in `outputs` which are wanted"
            )
        rule = found
    if model.spec.state and rule != EVERY_STEP:
        raise BundleError(
            f"output {output.name} has {shape[times[0]]} steps for {first}: a graph with state "
            "answers as many as it takes; say in `outputs` which are wanted"
        )
    rest = tuple(size for place, size in enumerate(shape) if place not in axes.places)
    per_step = bool(times) or model.by_steps
    return OutputSpec(output.name, rest, per_step, DATATYPES[output.datatype], rule), axes


def _batches(
    model: LaidOutModel, trials: _Trials, name: str, num_steps: int, times: list[int]
) -> list[int]:
    """The axes of an output that follow the batch."""
    if not model.fixed_batch:
        narrow, wide = (trials.shapes(num_steps, size)[name] for size in (BATCH, OTHER_BATCH))
        return _changed(narrow, wide)
    shape = trials.shapes(num_steps)[name]
    # where the batch is always 1, it is the first axis of 1 that is not the time's, if any is
    return [place for place, size in enumerate(shape) if size == 1 and place not in times][:1]


def _is_numeric(output: TensorSpec) -> bool:
    return output.datatype != "BF16" and not DATATYPES[output.datatype].hasobject


def _is_neither(output: TensorSpec, shape: tuple[int, ...]) -> BundleError:
    return BundleError(
        f"output {output.name} ({output.datatype} {list(shape)}) is neither of each sequence nor "
        "of each step; say in `outputs` which are wanted"
    )


def _changed(shape: tuple[int, ...], other: tuple[int, ...]) -> list[int]:
    return [place for place, size in enumerate(shape) if other[place] != size]


def _rule(size: Callable[[int], int], first: int, other: int, max_length: int) -> StepRule | None:
    """How many steps come out of how many; None if that is no rule of this form.

    Args:
        size: Steps that come out of so many.
        first: Steps to begin with.
        other: More, of which others come out.
        max_length: The most that may be tried.
    """
    grown, span = size(other) - size(first), other - first
    checked = {first, first + 1, first + 2, other - 1, other}
    if grown % span == 0 and grown > 0:
        factor = grown // span
        rule = StepRule(factor, size(first) - factor * first)
    else:
        steps, last = size(first), min(2 * other, max_length)
        if size(last) < steps + 2:
            return None
        # where the next two steps come out
        one, two = (
            bisect.bisect_left(range(last + 1), steps + more, lo=first, key=size) for more in (1, 2)
        )
        rule = StepRule(1, (two - one) * (steps + 1) - one, two - one)
        checked |= {one - 1, two - 1, two}
    checked = {steps for steps in checked if first <= steps <= max_length}
    return rule if all(size(steps) == rule.num_steps(steps) for steps in checked) else None
