"""Decoding with a linear-chain conditional random field, in NumPy, over ragged batches.

The score of tags y of one sequence (Lafferty et al., ICML 2001; Lample et al., NAACL 2016):

    s(y) = start[y(1)] + sum_t emissions[t, y(t)] + sum_t transitions[y(t-1), y(t)] + end[y(T)]

and p(y) = exp(s(y)) / Z, Z the sum of exp(s) over all tags there could be.
"""

from __future__ import annotations

import io
import zipfile
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.errors import BundleError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Transitions(NamedTuple):
    """What a sequence's tags score beside their emissions."""

    between: Floats  # (tags, tags): from the row's tag to the column's
    start: Floats  # (tags,)
    end: Floats  # (tags,)

    @classmethod
    def none(cls, num_tags: int) -> Transitions:
        """All zero: each step's tag by itself."""
        return cls(np.zeros((num_tags, num_tags)), np.zeros(num_tags), np.zeros(num_tags))

    def to_bytes(self) -> bytes:
        """As the file of a bundle."""
        file = io.BytesIO()
        np.savez(file, **{name: part.astype(np.float32) for name, part in self._asdict().items()})
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, num_tags: int) -> Transitions:
        """Read back what `to_bytes` wrote.

        Raises:
            BundleError: It is not that, or of another number of tags.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                read = cls(*(arrays[name].astype(np.float64) for name in cls._fields))
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise BundleError(f"the file of transitions can't be read: {error}") from error
        shapes = [part.shape for part in read]
        if shapes != [(num_tags, num_tags), (num_tags,), (num_tags,)]:
            raise BundleError(f"the transitions have shapes {shapes}, there are {num_tags} tags")
        if not all(np.isfinite(part).all() for part in read):
            raise BundleError("the transitions are not all finite")
        return read


def viterbi(emissions: Floats, lengths: Ints, transitions: Transitions) -> tuple[Ints, Floats]:
    """The likeliest tags of each sequence.

    Args:
        emissions: (batch, time, tags); what lies past a length does not matter.
        lengths: int64 (batch,), 1 to time.
        transitions: Of `tags` tags.
    Returns:
        tags: int64 (batch, time), 0 past each length.
        scores: (batch,), s of these tags.
    """
    batch, num_steps, num_tags = emissions.shape
    rows = np.arange(batch)
    # a step past a length hands on what was: each tag stays, nothing is added
    stay = np.arange(num_tags)
    backward = np.empty((num_steps, batch, num_tags), dtype=np.int64)
    best = transitions.start + emissions[:, 0]
    for step in range(1, num_steps):
        paths = best[:, :, None] + transitions.between  # (batch, from, to)
        came = paths.argmax(axis=1)
        reached = np.take_along_axis(paths, came[:, None], axis=1)[:, 0] + emissions[:, step]
        real = (step < lengths)[:, None]
        backward[step] = np.where(real, came, stay)
        best = np.where(real, reached, best)
    best = best + transitions.end
    tags = np.empty((batch, num_steps), dtype=np.int64)
    tags[:, -1] = best.argmax(axis=1)
    for step in range(num_steps - 1, 0, -1):
        tags[:, step - 1] = backward[step, rows, tags[:, step]]
    tags[np.arange(num_steps) >= lengths[:, None]] = 0
    return tags, best.max(axis=1)


def marginals(emissions: Floats, lengths: Ints, transitions: Transitions) -> tuple[Floats, Floats]:
    """The probability of every tag at every step, by the forward-backward algorithm.

    Args:
        emissions: (batch, time, tags); what lies past a length does not matter.
        lengths: int64 (batch,), 1 to time.
        transitions: Of `tags` tags.
    Returns:
        probabilities: (batch, time, tags), 0 past each length.
        log_z: (batch,), the logarithm of Z.
    """
    num_steps = emissions.shape[1]
    between = transitions.between
    forward = np.empty(emissions.shape)
    forward[:, 0] = transitions.start + emissions[:, 0]
    for step in range(1, num_steps):
        reached = log_sum_exp(forward[:, step - 1, :, None] + between, axis=1) + emissions[:, step]
        real = (step < lengths)[:, None]
        forward[:, step] = np.where(real, reached, forward[:, step - 1])
    log_z = log_sum_exp(forward[:, -1] + transitions.end, axis=1)
    after = np.empty(emissions.shape)
    after[:, -1] = transitions.end
    for step in range(num_steps - 2, -1, -1):
        to_come = emissions[:, step + 1] + after[:, step + 1]
        goes_on = log_sum_exp(between + to_come[:, None, :], axis=2)
        real = (step + 1 < lengths)[:, None]
        after[:, step] = np.where(real, goes_on, transitions.end)
    probabilities = np.exp(forward + after - log_z[:, None, None])
    probabilities[np.arange(num_steps) >= lengths[:, None]] = 0.0
    return probabilities, log_z


def log_sum_exp(values: Floats, axis: int) -> Floats:
    """log of the sum of exp along an axis, which is dropped."""
    highest = values.max(axis=axis, keepdims=True)
    total: Floats = np.log(np.exp(values - highest).sum(axis=axis))
    total += highest.squeeze(axis)
    return total
