"""What both formats of a user's own data share: their error, missing values, the finished set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data.frames.dataset import Dataset, SequenceSet
from training.data.limits import longest_accepted
from training.data.reading import DataError

Floats = NDArray[np.float32]


def without_gaps(sequence: Floats) -> Floats:
    """Fill missing values as someone can who watches the sequence live.

    A missing value repeats the last one known of its feature; before the first known one it is
    that one. Steps at the end without any value are padding and are cut off. The service takes no
    missing values: a client fills them the same way.

    Args:
        sequence: (time, features), NaN where a value is missing.
    Returns:
        (time or less, features), without NaN.
    Raises:
        ValueError: A value is infinite, or a feature has no value at all.
    """
    if np.isinf(sequence).any():
        raise ValueError("a value is infinite, or too large for float32")
    known = ~np.isnan(sequence)
    if known.all():
        return sequence
    if not known.any(axis=0).all():
        raise ValueError(f"dimension {int(known.any(axis=0).argmin())} has no value at all")
    num_steps = int(np.flatnonzero(known.any(axis=1))[-1]) + 1
    known = known[:num_steps]
    steps = np.arange(num_steps)[:, None]
    latest = np.maximum.accumulate(np.where(known, steps, -1), axis=0)  # -1: none so far
    source = np.where(latest < 0, known.argmax(axis=0), latest)
    return np.take_along_axis(sequence, source, axis=0)


def own_dataset(
    name: str,
    train: SequenceSet,
    test: SequenceSet,
    labels: list[str],
    feature_names: list[str],
    files: tuple[Path, Path],
) -> Dataset:
    """The set of a user's two files.

    Raises:
        DataError: The training sequences are all of one class.
    """
    if len(np.unique(train.targets)) < 2:
        raise DataError(f"{files[0]}: all sequences are of one class; a classifier needs two")
    return Dataset(
        name=name,
        train=train,
        test=test,
        labels=labels,
        feature_names=feature_names,
        licence="as given by the user",
        split=f"as given: {files[0].name} and {files[1].name}",
        max_length=longest_accepted(map(len, train.sequences), map(len, test.sequences)),
    )
