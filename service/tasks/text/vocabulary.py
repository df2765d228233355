"""From words to the ids that a graph reads: the word's own, and those of its characters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

PADDING, UNKNOWN = 0, 1
FIRST = 2
"""The id of a vocabulary's first entry."""

_DIGIT = re.compile(r"\d")


class Vocabulary:
    """Entries by id: 0 is padding, 1 whatever is unknown, then the entries in order.

    Args:
        entries: None twice, none with a newline.
    """

    def __init__(self, entries: Sequence[str]) -> None:
        self.entries = list(entries)
        self._ids = {entry: FIRST + place for place, entry in enumerate(self.entries)}

    def __len__(self) -> int:
        """How many ids there are."""
        return FIRST + len(self.entries)

    def __contains__(self, entry: str) -> bool:
        return entry in self._ids

    def ids(self, entries: Iterable[str]) -> list[int]:
        """The id of each entry; 1 for what is unknown."""
        find = self._ids.get
        return [find(entry, UNKNOWN) for entry in entries]

    def to_bytes(self) -> bytes:
        """As the file of a bundle: an entry a line."""
        return "".join(f"{entry}\n" for entry in self.entries).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Vocabulary:
        """Read back what `to_bytes` wrote."""
        return cls(content.decode().split("\n")[:-1])


class WordVocabulary:
    """Words and characters packed into one step: [the word's id, its characters' ids ...].

    A word is looked up in small letters with each digit as 0, so that case and numbers do not make
    it rare; its characters are looked up as they are. Of a word with more than `num_characters` the
    first half and the last half of as many are taken, for its ending says most.

    Args:
        words: As `folded` gives them.
        characters: Single ones.
        num_characters: Ids of characters a step; 0 after a shorter word's.
    """

    def __init__(self, words: Vocabulary, characters: Vocabulary, num_characters: int) -> None:
        self.words = words
        self.characters = characters
        self.num_characters = num_characters

    def is_known(self, form: str) -> bool:
        """Whether the word has an id of its own."""
        return folded(form) in self.words

    def tokens(self) -> list[int]:
        """How many ids each value of a step has."""
        return [len(self.words), *[len(self.characters)] * self.num_characters]

    def pack(self, forms: Sequence[str]) -> NDArray[np.int64]:
        """int64 (time, 1 + num_characters) of the words of one sentence."""
        packed = np.zeros((len(forms), 1 + self.num_characters), dtype=np.int64)
        packed[:, 0] = self.words.ids(map(folded, forms))
        for step, form in zip(packed, forms, strict=True):
            ids = self.characters.ids(self._shortened(form))
            step[1 : 1 + len(ids)] = ids
        return packed

    def _shortened(self, form: str) -> str:
        half = self.num_characters // 2
        if len(form) <= self.num_characters:
            return form
        return form[: self.num_characters - half] + form[len(form) - half :]


def folded(form: str) -> str:
    """A word as a vocabulary of words has it."""
    return _DIGIT.sub("0", form.lower())
