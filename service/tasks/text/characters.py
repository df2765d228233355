"""A text as the characters that a graph reads, each with the groups that end with it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.tasks.text.vocabulary import Vocabulary

_SPACE = re.compile(r"\s+")
_FACTOR = np.uint64(1_000_003)
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2 ** 64 over the golden ratio: spreads what is alike
_KEPT = np.uint64(32)


def characters_of(text: str) -> str:
    """A text as models of characters are trained on it: Unicode's NFC, single spaces, no ends."""
    return _SPACE.sub(" ", unicodedata.normalize("NFC", text)).strip()


class CharacterVocabulary:
    """Characters by id, and beside each the groups of two, three, ... that end with it, hashed.

    Args:
        characters: Single ones.
        buckets: How many ids the groups of two have, those of three, and so on; none: no groups.
    """

    def __init__(self, characters: Vocabulary, buckets: Sequence[int] = ()) -> None:
        self.characters = characters
        self.buckets = list(buckets)

    def tokens(self) -> list[int]:
        """How many ids each value of a step has."""
        return [len(self.characters), *self.buckets]

    def pack(self, text: str) -> NDArray[np.int64]:
        """int64 (time, 1 + groups) of what `characters_of` gives; (time,) without groups."""
        ids = np.array(self.characters.ids(text), dtype=np.int64)
        if not self.buckets:
            return ids
        groups = (hashes(text, 2 + place) for place in range(len(self.buckets)))
        values = (
            1 + (group % np.uint64(count - 1)).astype(np.int64)  # 0 is padding
            for group, count in zip(groups, self.buckets, strict=True)
        )
        return np.stack([ids, *values], axis=1)


def hashes(text: str, size: int) -> NDArray[np.uint64]:
    """A number of 32 bits for each group of so many characters, by its last; spaces come before."""
    padded = " " * (size - 1) + text
    codes = np.frombuffer(padded.encode("utf-32-le"), dtype="<u4").astype(np.uint64)
    mixed = np.zeros(len(text), dtype=np.uint64)
    for place in range(size):
        mixed = mixed * _FACTOR + codes[place : place + len(text)]
    return (mixed * _MIX) >> _KEPT
