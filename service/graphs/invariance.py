"""The check that a model must pass before it serves: no row's answer depends on its neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import BundleError
from service.graphs.model import Arrays, Model, check_outputs
from service.graphs.spec import SequenceSpec
from service.manifest import Profile

TOLERANCE = 1e-4  # of the answers' scale; float32 sums in another order differ by about 1e-6
RUBBISH = (np.nan, np.inf, 1e30)
MADE_LENGTHS = (2, 7, 40)  # where no profile says what lengths are usual

Steps = NDArray[Any]


def check_invariance(
    model: Model,
    sequences: list[Steps],
    chunk_steps: int,
    tolerance: float = TOLERANCE,
    has_company: bool = True,
) -> None:
    """Alone = in a batch with rubbish in the padding = in another order = in chunks.

    Also warms the session up at the shapes that its scheduler will use.

    Args:
        model: What answers.
        sequences: To try it with: see `probe`.
        chunk_steps: Steps in a chunk.
        tolerance: How far an answer may differ, of its scale (1 at least).
        has_company: Whether the graph runs several sequences at a time; else chunks are checked.

    Raises:
        BundleError: One of them differs, with the row's length and by how much.
    """
    batches = _batches(model.spec, sequences) if has_company else ([it] for it in sequences)
    for together in batches:
        alone = [_run(model, [sequence], [0.0])[0] for sequence in together]
        padded = _run(model, together, [RUBBISH[row % 3] for row in range(len(together))])
        _compare(alone, padded, together, tolerance, "in a batch with rubbish in the padding")
        other = _run(model, together[::-1], [0.0] * len(together))
        _compare(alone, other[::-1], together, tolerance, "reordered")
        if model.spec.state:
            chunked = _run_in_chunks(model, together, chunk_steps)
            _compare(alone, chunked, together, tolerance, f"in chunks of {chunk_steps} steps")


def probe(spec: SequenceSpec, chunk_steps: int, profile: Profile | None = None) -> list[Steps]:
    """Sequences like the training inputs: their lengths, means and deviations.

    Args:
        spec: Of the graph.
        chunk_steps: Steps in a chunk.
        profile: Of the training inputs; without one, plain normal numbers, or small ids.
    """
    random = np.random.default_rng(0)
    usual = map(int, profile.length_quantiles.values()) if profile else MADE_LENGTHS
    lengths = {
        1,
        chunk_steps,
        chunk_steps + 1,
        2 * chunk_steps + 1,  # so that two rows go on into a second chunk, and one into a third
        *usual,
    }
    wanted = sorted({min(max(length, spec.min_length), spec.max_length) for length in lengths})
    return [_made(spec, length, profile, random) for length in wanted]


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


def _run(model: Model, sequences: list[Steps], padding: list[float]) -> list[Arrays]:
    """One batch of whole sequences, each padded with a value of its own; each one's answers."""
    state = _initial_state(model.spec, len(sequences))
    outputs = _run_batch(model, sequences, padding, state)
    return [_row(model.spec, outputs, row, len(s)) for row, s in enumerate(sequences)]


def _run_in_chunks(model: Model, sequences: list[Steps], chunk_steps: int) -> list[Arrays]:
    """All of them a chunk a run, as the `cells` scheduler does; the short ones leave early."""
    spec = model.spec
    chunks_of: list[list[Arrays]] = [[] for _ in sequences]
    held = _initial_state(spec, len(sequences))
    for start in range(0, max(map(len, sequences)), chunk_steps):
        rows = [row for row, sequence in enumerate(sequences) if len(sequence) > start]
        chunks = [sequences[row][start : start + chunk_steps] for row in rows]
        state = {name: values[rows] for name, values in held.items()}
        outputs = _run_batch(model, chunks, [RUBBISH[row % 3] for row in rows], state)
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


def _run_batch(model: Model, sequences: list[Steps], padding: list[float], state: Arrays) -> Arrays:
    spec = model.spec
    longest = max(map(len, sequences))
    inputs = np.zeros((len(sequences), longest, *spec.step_shape), dtype=spec.dtype)
    for row, (sequence, value) in enumerate(zip(sequences, padding, strict=True)):
        inputs[row, : len(sequence)] = sequence
        inputs[row, len(sequence) :] = value if spec.dtype.kind == "f" else 1
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
