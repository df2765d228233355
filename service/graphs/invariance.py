"""The check that a model must pass before it serves: no row's answer depends on its neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.errors import BundleError
from service.graphs.model import Arrays, Model, Result, check_outputs
from service.manifest import Manifest

TOLERANCE = 1e-4  # of the answers' scale; float32 sums in another order differ by about 1e-6
RUBBISH = (np.nan, np.inf, 1e30)


def check_invariance(model: Model, chunk_steps: int, tolerance: float = TOLERANCE) -> None:
    """Alone = in a batch with rubbish in the padding = in another order = in chunks.

    Also warms the session up at the shapes that its scheduler will use.

    Args:
        model: What answers.
        chunk_steps: Steps in a chunk.
        tolerance: How far an answer may differ, of its scale (1 at least).

    Raises:
        BundleError: One of them differs, with the row's length and by how much.
    """
    sequences = _probe(model.manifest, chunk_steps)
    alone = [_run(model, [sequence], [0.0])[0] for sequence in sequences]
    padded = _run(model, sequences, [RUBBISH[row % 3] for row in range(len(sequences))])
    _compare(alone, padded, sequences, tolerance, "in a batch with rubbish in the padding")
    order = list(range(len(sequences)))[::-1]
    other = _run(model, [sequences[row] for row in order], [0.0] * len(sequences))
    reordered = [alone[row] for row in order]
    _compare(reordered, other, [sequences[row] for row in order], tolerance, "reordered")
    if model.manifest.state:
        chunked = _run_in_chunks(model, sequences, chunk_steps)
        _compare(alone, chunked, sequences, tolerance, f"in chunks of {chunk_steps} steps")


def _probe(manifest: Manifest, chunk_steps: int) -> list[NDArray[np.float32]]:
    """Sequences like the training inputs: their lengths, means and deviations."""
    random = np.random.default_rng(0)
    lengths = {
        1,
        chunk_steps,
        chunk_steps + 1,
        2 * chunk_steps + 1,  # so that two rows go on into a second chunk, and one into a third
        *map(int, manifest.profile.length_quantiles.values()),
    }
    wanted = sorted(min(max(length, 1), manifest.limits.max_length) for length in lengths)
    mean = np.array(manifest.profile.feature_means)
    deviation = np.array(manifest.profile.feature_deviations)
    shapes = ((length, manifest.num_features) for length in sorted(set(wanted)))
    return [
        (mean + deviation * random.standard_normal(shape)).astype(np.float32) for shape in shapes
    ]


def _initial_state(manifest: Manifest, batch_size: int) -> Arrays:
    return {
        pair.input: np.full((batch_size, *pair.shape), pair.initial, dtype=np.float32)
        for pair in manifest.state
    }


def _run(model: Model, sequences: list[NDArray[np.float32]], padding: list[float]) -> list[Result]:
    """One batch of whole sequences, each padded with a value of its own."""
    state = _initial_state(model.manifest, len(sequences))
    outputs = _run_batch(model, sequences, padding, state)
    return [_result(model.manifest, outputs, row, len(s)) for row, s in enumerate(sequences)]


def _run_in_chunks(
    model: Model, sequences: list[NDArray[np.float32]], chunk_steps: int
) -> list[Result]:
    """All of them a chunk a run, as the `cells` scheduler does; the short ones leave early."""
    manifest = model.manifest
    results: dict[int, Result] = {}
    held = _initial_state(manifest, len(sequences))
    for start in range(0, max(map(len, sequences)), chunk_steps):
        rows = [row for row, sequence in enumerate(sequences) if len(sequence) > start]
        chunks = [sequences[row][start : start + chunk_steps] for row in rows]
        state = {name: values[rows] for name, values in held.items()}
        outputs = _run_batch(model, chunks, [RUBBISH[row % 3] for row in rows], state)
        for pair in manifest.state:
            held[pair.input][rows] = outputs[pair.output]
        for place, row in enumerate(rows):
            results[row] = _result(manifest, outputs, place, len(chunks[place]))
    return [results[row] for row in range(len(sequences))]


def _run_batch(
    model: Model, sequences: list[NDArray[np.float32]], padding: list[float], state: Arrays
) -> Arrays:
    manifest = model.manifest
    longest = max(map(len, sequences))
    inputs = np.empty((len(sequences), longest, manifest.num_features), dtype=np.float32)
    for row, (sequence, value) in enumerate(zip(sequences, padding, strict=True)):
        inputs[row, : len(sequence)] = sequence
        inputs[row, len(sequence) :] = value
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    outputs = model.run(inputs, lengths, state)
    try:
        check_outputs(manifest, outputs, len(sequences), longest)
    except ValueError as error:
        raise BundleError(str(error)) from error
    return outputs


def _result(manifest: Manifest, outputs: Arrays, row: int, length: int) -> Result:
    names = manifest.outputs
    weights = outputs[names.weights][row, :length] if names.weights else None
    return Result(outputs[names.logits][row], weights)


def _compare(
    expected: list[Result],
    found: list[Result],
    sequences: list[NDArray[np.float32]],
    tolerance: float,
    how: str,
) -> None:
    for want, have, sequence in zip(expected, found, sequences, strict=True):
        for name, a, b in zip(Result._fields, want, have, strict=True):
            if a is None or b is None:
                continue
            with np.errstate(invalid="ignore"):  # inf - inf: a NaN, which is refused too
                error = float(np.max(np.abs(a - b)))
            if not error <= tolerance * max(1.0, float(np.max(np.abs(a)))):
                raise BundleError(
                    f"not batch-invariant: {name} of a sequence of {len(sequence)} steps differs "
                    f"by {error:.3g} {how}"
                )
