"""What every loader for transcription gives: frames, and what is said there, already split."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service.tasks.features import LogMel

Unit = Literal["digit", "character", "word"]
"""What a label is; the error rate is named after it."""

SEPARATORS: dict[Unit, str] = {"digit": " ", "character": "", "word": " "}
"""What stands between two labels of a text."""

UNKNOWN = -1
"""In the place of a label that the training part does not have: no model can be right there."""


@dataclasses.dataclass(frozen=True)
class Part:
    """Sequences of a split: `frames[i]` float32 (time_i, mels), `said[i]` the labels said there."""

    frames: list[NDArray[np.float32]]
    said: list[list[int]]
    spans_s: list[list[tuple[float, float]]] | None = None
    """Where the sound of each label begins and ends, s; None: not known."""

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def num_unknown(self) -> int:
        """Labels that the training part does not have."""
        return sum(labels.count(UNKNOWN) for labels in self.said)


@dataclasses.dataclass(frozen=True)
class Transcribed:
    """A data set for transcription; its test part is touched once."""

    train: Part
    validation: Part
    test: Part
    split: str
    """How the parts were made, in words."""
    audio: LogMel
    name: str
    licence: str
    labels: Sequence[str]
    unit: Unit
    max_length: int
    """Steps in the longest sequence that a model of this set should accept."""
