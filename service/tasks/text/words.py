"""A text as words, each with its place in the text as it was given.

Places count code points, as Python's `text[start:end]` does. UTF-16 (JavaScript, Java) counts two
for what lies beyond U+FFFF, such as most emoji.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple

MARK = "\ua66e"
"""A letter that hardly any text has: what `WORD` sees in a combining mark's place."""
JOINERS = "\u00ad\u200c\u200d\u2060"
"""Within a word and not seen: soft hyphen, (non-)joiner, word joiner."""
STRAIGHT_QUOTE = '"'
APOSTROPHE = "\u2019"
WORD = re.compile(
    r"""
      [$£€]?\d+(?:[.,:/]\d+)*(?:[-/]?\w+)*(?:%|['\u2019]s)?  # 1961  $10,000  3.5%  2-1/2  1920's
    | (?:[^\W\d_]\.){2,}                                     # U.S.  e.g.
    | \w+(?:[-'\u2019&/.]\w+)*                              # don't  well-to-do  and/or  AT&T
    | \.{2,} | -{2,}
    | \S\ua66e*
    """,
    re.VERBOSE,
)
OPENS = re.compile(r"[\s(\[{<\u201c\u2018\u2013\u2014-]")
AS_TRAINED = {
    "\u201c": "``",
    "\u201d": "''",
    "\u201e": "``",
    "«": "``",
    "»": "''",
    "\u2013": "--",
    "\u2014": "--",
    "…": "...",
}


class Word(NamedTuple):
    """A word, and where it stands: `text[start:end]`, in code points."""

    text: str
    start: int
    end: int
    form: str
    """As a vocabulary has it: quotes and dashes as in the training texts, Unicode's NFC."""


def words_of(text: str, is_known: Callable[[str], bool] = lambda form: False) -> list[Word]:
    """Part a text into words; what is between them is white space.

    An apostrophe belongs to the word before it where the vocabulary has it so (`years'`); likewise
    a full stop (`Mr.`), unless the text ends with it.

    Args:
        text: Any.
        is_known: Whether the vocabulary has a form.
    """
    words: list[Word] = []
    num_characters = len(text.rstrip())
    for match in WORD.finditer(_marks_as_letters(text)):
        start, end = match.span()
        shown = text[start:end]
        goes_on = shown == "'" or (shown == "." and end < num_characters)
        if goes_on and words and words[-1].end == start and is_known(words[-1].form + shown):
            before = words.pop()
            words.append(Word(before.text + shown, before.start, end, before.form + shown))
        else:
            words.append(Word(shown, start, end, _form(shown, text[start - 1 : start])))
    return words


def forms_of(words: Sequence[str]) -> list[str]:
    """The forms of a sentence's words that somebody else has parted, for training alike.

    Every other straight quote closes what the one before it has opened.
    """
    forms: list[str] = []
    is_open = False
    for word in words:
        forms.append(_form(word, "x" if is_open else " "))
        is_open ^= word == STRAIGHT_QUOTE
    return forms


def _form(word: str, before: str) -> str:
    """How a vocabulary has the word; a straight quote opens where nothing, or an opener, stands."""
    if word == STRAIGHT_QUOTE:
        return "``" if not before or OPENS.match(before) else "''"
    form = AS_TRAINED.get(word)
    return form or unicodedata.normalize("NFC", word.replace(APOSTROPHE, "'"))


def _marks_as_letters(text: str) -> str:
    """The text with a letter for each combining mark and joiner: they part no word; same length."""
    if text.isascii():
        return text
    return "".join(
        MARK if c in JOINERS or unicodedata.category(c).startswith("M") else c for c in text
    )
