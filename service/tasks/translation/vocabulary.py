"""Units by number: what a model knows, shared by its training and its service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

PADDING, BEGIN, END, UNKNOWN = range(4)
SPECIAL = ("<padding>", "<begin>", "<end>", "<unknown>")


class Vocabulary:
    """The units a model knows, the special ones first.

    Args:
        units: By number; the first four are `SPECIAL`, none is there twice.
    Raises:
        ValueError: They are not such.
    """

    def __init__(self, units: Sequence[str]) -> None:
        self.units = list(units)
        if tuple(self.units[: len(SPECIAL)]) != SPECIAL:
            raise ValueError(f"a vocabulary begins with {', '.join(SPECIAL)}")
        # text that spells a special unit must not become one
        ordinary = enumerate(self.units[len(SPECIAL) :], len(SPECIAL))
        self.numbers = {unit: number for number, unit in ordinary}
        if len(self.numbers) + len(SPECIAL) != len(self.units):
            raise ValueError("a vocabulary names a unit twice")

    def __len__(self) -> int:
        return len(self.units)

    @classmethod
    def learn(
        cls, texts: Iterable[Sequence[str]], max_size: int | None = None, min_count: int = 1
    ) -> Vocabulary:
        """The commonest units of split texts; among equals those first in order of code points."""
        counts = Counter(unit for text in texts for unit in text)
        ordered = sorted(
            (unit for unit, count in counts.items() if count >= min_count and unit not in SPECIAL),
            key=lambda unit: (-counts[unit], unit),
        )
        room = None if max_size is None else max(0, max_size - len(SPECIAL))
        return cls([*SPECIAL, *ordered[:room]])

    @classmethod
    def from_bytes(cls, content: bytes) -> Vocabulary:
        """The inverse of `to_bytes`.

        Raises:
            ValueError: It is no UTF-8, or no vocabulary.
        """
        return cls(content.decode("utf-8").removesuffix("\n").split("\n"))

    def to_bytes(self) -> bytes:
        """One unit a line, UTF-8."""
        return ("\n".join(self.units) + "\n").encode()

    def encode(self, units: Iterable[str]) -> NDArray[np.int64]:
        """Numbers (count,) of units; UNKNOWN where there is none."""
        return np.array([self.numbers.get(unit, UNKNOWN) for unit in units], dtype=np.int64)

    def decode(self, numbers: Iterable[int]) -> list[str]:
        """Units of numbers."""
        return [self.units[number] for number in numbers]
