"""Text to the units that a model reads or writes, and back.

- `characters`: each is a unit.
- `symbols`: what blanks part, such as phonemes.
- `words`: words and punctuation, with a joiner where the text has no blank between two of them:
  `l'éditeur (libre)` is `l'￭`, `éditeur`, `(￭`, `libre`, `￭)`. So the way back is exact but for
  the number of blanks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Literal

Units = Literal["characters", "symbols", "words"]

JOINER = "￭"
# French parts a word from the next with an apostrophe: it stays with the first
ELISION = r"(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu)'"
WORD = re.compile(rf"\b{ELISION}(?=\w)|\w+|[^\w\s]", re.IGNORECASE)


def normalise(text: str, units: Units, *, lowercase: bool = False) -> str:
    """One form of what Unicode can write in several, and one blank where there are many."""
    text = unicodedata.normalize("NFC", text)
    if lowercase:
        text = text.lower()
    if units == "words":
        text = text.replace(JOINER, " ")
    return " ".join(text.split())


def split(text: str, units: Units) -> list[str]:
    """The units of a normalised text."""
    if units == "characters":
        return list(text)
    if units == "symbols":
        return text.split()
    found = []
    matches = list(WORD.finditer(text))
    for place, match in enumerate(matches):
        unit = match[0]
        if re.fullmatch(r"\w+", unit):
            found.append(unit)
            continue
        joins_left = place > 0 and matches[place - 1].end() == match.start()
        joins_right = place + 1 < len(matches) and matches[place + 1].start() == match.end()
        # between two marks the left one holds the joiner: once is enough
        if joins_left and found[-1].endswith(JOINER):
            joins_left = False
        found.append(JOINER * joins_left + unit + JOINER * joins_right)
    return found


def join(units: Iterable[str], kind: Units) -> str:
    """The text of units; the inverse of `split`."""
    if kind == "characters":
        return "".join(units)
    text = " ".join(units)
    if kind == "words":
        text = text.replace(f"{JOINER} {JOINER}", "").replace(f"{JOINER} ", "")
        text = text.replace(f" {JOINER}", "").replace(JOINER, "")
    return text
