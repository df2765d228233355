"""From a text to what an encoder reads, and from what a decoder wrote to a text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.tasks.translation.settings import Writing
from service.tasks.translation.units import join, normalise, split
from service.tasks.translation.vocabulary import BEGIN, PADDING, UNKNOWN, Vocabulary


class Source(NamedTuple):
    """A text as an encoder reads it.

    Args:
        units: What it is made of.
        numbers: int64 (units,).
    """

    units: list[str]
    numbers: NDArray[np.int64]

    @property
    def unknown(self) -> list[str]:
        """Units that the vocabulary lacks, in the order of the text."""
        return [
            unit
            for unit, number in zip(self.units, self.numbers.tolist(), strict=True)
            if number == UNKNOWN
        ]


class Interpreter:
    """Reads sources and writes targets, alike in training and service.

    Args:
        writing: How.
        source: Its vocabulary of sources.
        target: Its vocabulary of targets.
    """

    def __init__(self, writing: Writing, source: Vocabulary, target: Vocabulary) -> None:
        self.writing = writing
        self.source = source
        self.target = target

    @property
    def forbidden(self) -> tuple[int, ...]:
        """Target tokens that are never to be chosen."""
        if self.writing.unknown == "copy":
            return PADDING, BEGIN
        return PADDING, BEGIN, UNKNOWN

    def read(self, text: str) -> Source:
        """The units of a text; none of one that is empty or blank."""
        units = self.source_units(text)
        return Source(units, self.source.encode(units))

    def source_units(self, text: str) -> list[str]:
        """As `read`, without numbers."""
        kind = self.writing.source_units
        return split(normalise(text, kind, lowercase=self.writing.lowercase), kind)

    def target_units(self, text: str) -> list[str]:
        """The units that a decoder should write for a text."""
        kind = self.writing.target_units
        return split(normalise(text, kind), kind)

    def write(
        self, numbers: Sequence[int], attention: NDArray[np.float32] | None, source: Source
    ) -> list[str]:
        """The units of what a decoder wrote.

        Args:
            numbers: Target tokens, without begin and end.
            attention: float32 (tokens, source), where there is one; it says what to copy.
            source: What was translated.
        """
        units = self.target.decode(numbers)
        if self.writing.unknown == "copy" and attention is not None:
            for place, number in enumerate(numbers):
                if number == UNKNOWN:
                    units[place] = source.units[int(attention[place].argmax())]
        return units

    def text(self, units: Iterable[str]) -> str:
        """Target units as a text."""
        return join(units, self.writing.target_units)
