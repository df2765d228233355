"""A text as the characters that a graph reads."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
from numpy.typing import NDArray

from service.tasks.text.vocabulary import Vocabulary

_SPACE = re.compile(r"\s+")


def characters_of(text: str) -> str:
    """A text as models of characters are trained on it: Unicode's NFC, single spaces, no ends."""
    return _SPACE.sub(" ", unicodedata.normalize("NFC", text)).strip()


def character_ids(text: str, characters: Vocabulary) -> NDArray[np.int64]:
    """int64 (time,): the ids of what `characters_of` gives; 1 for an unknown one."""
    return np.array(characters.ids(text), dtype=np.int64)
