"""The check that a bundle must pass before it serves: no row's answer depends on its neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.datatypes import datatype_of
from service.errors import BundleError
from service.graphs.checks.ignored import END
from service.graphs.checks.values import TOLERANCE, Range, draw
from service.graphs.model import Arrays, Model, check_outputs
from service.graphs.spec import SequenceSpec
from service.manifest import Profile

RUBBISH = (np.nan, np.inf, 1e30)
COMPANY = ("large", "small", "shifted", "constant")  # with ids, two others say as much
MADE_LENGTHS = (2, 7, 40)  # where no profile says what lengths are usual

Steps = NDArray[Any]


def check_invariance(
    model: Model, sequences: list[Steps], chunk_steps: int, tolerance: float = TOLERANCE
) -> None:
    """Alone = with rubbish in the padding = reordered beside unlike ones = in chunks.

    Also warms the session up at the shapes that its scheduler will use.

    Args:
        model: What answers.
        sequences: To try it with: see `probe`.
        chunk_steps: Steps in a chunk.
        tolerance: How far an answer may differ, of its scale (1 at least).

    Raises:
        BundleError: One of them differs, with the row's length and by how much; or the end of
            the longest changes nothing.
    """
    for together in _batches(model.spec, sequences):
        alone = [run_whole(model, [sequence])[0] for sequence in together]
        padded = run_whole(model, together, RUBBISH)
        _compare(alone, padded, together, tolerance, "in a batch with rubbish in the padding")
        _check_reordered(model, together, alone, tolerance)
        if model.spec.state:
            chunked = run_in_chunks(model, together, chunk_steps, RUBBISH)
            _compare(alone, chunked, together, tolerance, f"in chunks of {chunk_steps} steps")


def _check_reordered(
    model: Model, together: list[Steps], alone: list[Arrays], tolerance: float
) -> None:
    """In another order, and beside sequences of other scales."""
    spec = model.spec
    longest = max(range(len(together)), key=lambda row: len(together[row]))
    changed = together[longest].copy()
    unlike = _made_unlike(spec, together)
    changed[-_end_of(len(changed)) :] = _like(spec, together, "normal", _end_of(len(changed)))
    found = run_whole(model, [*unlike, *together[::-1], changed])[len(unlike) :]
    *others, of_changed = found
    others.reverse()
    _compare(alone, others, together, tolerance, "reordered, beside unlike ones")
    is_heeded = any(
        not np.array_equal(others[longest][name], values) for name, values in of_changed.items()
    )
    if not is_heeded and not np.array_equal(changed, together[longest]):
        raise BundleError(ignored_end(len(changed)))


def _made_unlike(spec: SequenceSpec, sequences: list[Steps]) -> list[Steps]:
    """Sequences of other scales, no longer than these."""
    length = max(map(len, sequences))
    if spec.is_ragged:  # as short as can be: they cost as much as the longest all the same
        length = max(min(map(len, sequences)), length // 4)
    kinds = COMPANY if spec.dtype.kind == "f" else COMPANY[2:]
    return [_like(spec, sequences, kind, length) for kind in kinds]


def _like(spec: SequenceSpec, sequences: list[Steps], kind: str, length: int) -> Steps:
    """Steps of one kind, in terms of the means and deviations of these sequences."""
    random = np.random.default_rng(length)
    shape, ids = (length, *spec.step_shape), Range(0, min(spec.num_tokens, default=2) - 1)
    values = draw(kind, datatype_of(spec.dtype), shape, ids, random)
    if spec.dtype.kind != "f":
        return values
    steps = np.concatenate(sequences).astype(np.float64)
    scaled: Steps = steps.mean(axis=0) + steps.std(axis=0) * values
    return scaled.astype(spec.dtype)


def ignored_end(num_steps: int) -> str:
    """What is said of a graph that does not heed the end of a sequence."""
    return (
        f"the last {_end_of(num_steps)} of {num_steps} steps change nothing, as where a graph "
        "was made for the steps of an example: export it with a time axis of any size, or say "
        "in limits.max_length how many steps it heeds"
    )


def _end_of(num_steps: int) -> int:
    return max(1, int(END * num_steps))


def probe(spec: SequenceSpec, chunk_steps: int, profile: Profile | None = None) -> list[Steps]:
    """Sequences like the training inputs: their lengths, means and deviations.

    Args:
        spec: Of the graph.
        chunk_steps: Steps in a chunk.
        profile: Of the training inputs; without one, plain normal numbers, or small ids.
    """
    random = np.random.default_rng(0)
    usual = map(int, profile.length_quantiles.values()) if profile else MADE_LENGTHS
    return [_made(spec, it, profile, random) for it in lengths_of(spec, chunk_steps, usual)]


def lengths_of(
    spec: SequenceSpec, chunk_steps: int, usual: Iterable[int] = MADE_LENGTHS
) -> list[int]:
    """Lengths to try a graph with, in steps: those that are usual, and around a chunk's."""
    lengths = {
        1,
        chunk_steps,
        chunk_steps + 1,
        2 * chunk_steps + 1,  # so that two rows go on into a second chunk, and one into a third
        *usual,
    }
    return sorted({min(max(length, spec.min_length), spec.max_length) for length in lengths})


def _made(
    spec: SequenceSpec, length: int, profile: Profile | None, random: np.random.Generator
) -> Steps:
    shape = (length, *spec.step_shape)
    if spec.num_tokens:
        return random.integers(0, np.reshape(spec.num_tokens, spec.step_shape), shape)
    if spec.dtype.kind != "f":
        return random.integers(0, 2, shape).astype(spec.dtype)  # ids that any vocabulary has
    normal = random.standard_normal(shape)
    if profile:
        normal = np.array(profile.feature_means) + np.array(profile.feature_deviations) * normal
    return normal.astype(spec.dtype)


def _batches(spec: SequenceSpec, sequences: list[Steps]) -> Iterable[list[Steps]]:
    """What can run together: all; or, without lengths, only what is equally long."""
    if spec.is_ragged:
        yield sequences
        return
    for sequence in sequences:
        yield [sequence, np.flip(sequence, 0), np.roll(sequence, 1, 0)]


def _initial_state(spec: SequenceSpec, batch_size: int) -> Arrays:
    return {
        state.input: np.full((batch_size, *state.shape), state.initial, dtype=np.float32)
        for state in spec.state
    }


def run_whole(
    model: Model, sequences: Sequence[Steps], padding: Sequence[float] = (0.0,)
) -> list[Arrays]:
    """One batch of whole sequences, padded with these values in turn; each one's answers."""
    state = _initial_state(model.spec, len(sequences))
    outputs = _run_batch(model, sequences, padding, state)
    return [_row(model.spec, outputs, row, len(s)) for row, s in enumerate(sequences)]


def run_in_chunks(
    model: Model,
    sequences: Sequence[Steps],
    chunk_steps: int,
    padding: Sequence[float] = (0.0,),
) -> list[Arrays]:
    """All of them a chunk a run, as the `cells` scheduler does; the short ones leave early."""
    spec = model.spec
    chunks_of: list[list[Arrays]] = [[] for _ in sequences]
    held = _initial_state(spec, len(sequences))
    for start in range(0, max(map(len, sequences)), chunk_steps):
        rows = [row for row, sequence in enumerate(sequences) if len(sequence) > start]
        chunks = [sequences[row][start : start + chunk_steps] for row in rows]
        state = {name: values[rows] for name, values in held.items()}
        outputs = _run_batch(model, chunks, padding, state)
        for pair in spec.state:
            held[pair.input][rows] = outputs[pair.output]
        for place, row in enumerate(rows):
            chunks_of[row].append(_row(spec, outputs, place, len(chunks[place])))
    return [_joined(spec, chunks) for chunks in chunks_of]


def _joined(spec: SequenceSpec, chunks: Sequence[Arrays]) -> Arrays:
    """What chunks gave: of each step all, of the whole the last."""
    return {
        output.name: (
            np.concatenate([chunk[output.name] for chunk in chunks])
            if output.per_step
            else chunks[-1][output.name]
        )
        for output in spec.outputs
    }


def _run_batch(
    model: Model, sequences: Sequence[Steps], padding: Sequence[float], state: Arrays
) -> Arrays:
    spec = model.spec
    longest = max(map(len, sequences))
    inputs = np.zeros((len(sequences), longest, *spec.step_shape), dtype=spec.dtype)
    for row, sequence in enumerate(sequences):
        value = padding[row % len(padding)]
        inputs[row, : len(sequence)] = sequence
        inputs[row, len(sequence) :] = value if spec.dtype.kind == "f" else value != 0
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    outputs = model.run(inputs, lengths, state)
    try:
        check_outputs(spec, outputs, len(sequences), longest)
    except ValueError as error:
        raise BundleError(str(error)) from error
    return outputs


def _row(spec: SequenceSpec, outputs: Arrays, row: int, length: int) -> Arrays:
    return {
        output.name: outputs[output.name][row, : output.rule.num_steps(length)]
        if output.per_step
        else outputs[output.name][row]
        for output in spec.outputs
    }


def _compare(
    expected: list[Arrays],
    found: list[Arrays],
    sequences: list[Steps],
    tolerance: float,
    how: str,
) -> None:
    for want, have, sequence in zip(expected, found, sequences, strict=True):
        for name, a in want.items():
            with np.errstate(invalid="ignore"):  # inf - inf: a NaN, which is refused too
                error = float(np.max(np.abs(np.subtract(a, have[name], dtype=np.float64))))
            if not error <= tolerance * max(1.0, float(np.max(np.abs(a)))):
                raise BundleError(
                    f"not batch-invariant: {name} of a sequence of {len(sequence)} steps differs "
                    f"by {error:.3g} {how}"
                )
