"""What every loader gives: labelled sequences of a data set, already split."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from service.tasks.features import LogMel


@dataclasses.dataclass(frozen=True)
class SequenceSet:
    """Labelled sequences: `sequences[i]` float32 (time_i, features), `targets` int64 (count,)."""

    sequences: list[NDArray[np.float32]]
    targets: NDArray[np.int64]
    groups: NDArray[np.int64] | None = None
    """(count,): those of one group, such as a speaker, stay in one part; None: each for itself."""

    def __len__(self) -> int:
        return len(self.sequences)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set for sequence classification; its test part is touched once."""

    name: str
    train: SequenceSet
    test: SequenceSet
    labels: list[str]
    """One a class, in the order of the targets."""
    feature_names: list[str]
    licence: str
    split: str
    """How train and test were parted, in words."""
    max_length: int
    """Steps in the longest sequence that a model of this set should accept."""
    audio: LogMel | None = None
    """How its recordings became frames; None if they were no recordings."""
