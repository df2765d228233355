"""What loaders of tagged text give: sentences of words, one tag a word, already split."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import NamedTuple

from service.tasks.tagging.spans import OUTSIDE, is_span_set
from training.data.held import hold_out

_PREFIXED = re.compile(r"[BIESLUM]-.+")
_BEGINS_OR_GOES_ON = {"B": "B", "S": "B", "U": "B", "I": "I", "M": "I", "E": "I", "L": "I"}


class Sentence(NamedTuple):
    """Words with their tags, one each."""

    words: list[str]
    tags: list[str]


@dataclasses.dataclass(frozen=True)
class TaggedText:
    """A data set for tagging; its test part is touched once."""

    name: str
    train: list[Sentence]
    test: list[Sentence]
    licence: str
    split: str
    """How train and test were parted, in words."""
    validation: list[Sentence] = dataclasses.field(default_factory=list)
    """What decides between weights; a set may come without."""

    def labels(self) -> list[str]:
        """The tags of the training part in order of the alphabet, `O` first if there is one."""
        found = {tag for sentence in self.train for tag in sentence.tags}
        return sorted(found, key=lambda tag: (tag != OUTSIDE, tag))

    @property
    def has_spans(self) -> bool:
        """Whether its tags mark spans (BIO) rather than naming each word's class."""
        return is_span_set(self.labels())


def to_bio(tags: Sequence[str]) -> list[str]:
    """Span tags of one sentence in BIO, from BIO, IOB1, IOBES or BILOU.

    A span begins at B (S, U), and at an I (M, E, L) that continues none of the same label; so IOB1,
    in which B stands only between neighbours of one label, comes out right too.
    """
    normal: list[str] = []
    before = OUTSIDE
    for tag in tags:
        prefix, _, label = tag.partition("-")
        if tag != OUTSIDE:
            goes_on = before[2:] == label and _BEGINS_OR_GOES_ON[prefix] == "I"
            before = f"{'I' if goes_on else 'B'}-{label}"
        else:
            before = OUTSIDE
        normal.append(before)
    return normal


def marks_spans(tags: set[str]) -> bool:
    """Whether these tags, in any of the schemes that `to_bio` reads, mark spans."""
    return (
        OUTSIDE in tags
        and len(tags) > 1
        and all(tag == OUTSIDE or _PREFIXED.fullmatch(tag) for tag in tags)
    )


def with_validation(data: TaggedText, share: float) -> TaggedText:
    """The set with a validation part: its own, or a share of the training sentences.

    Raises:
        ValueError: There are too few training sentences, or no such share.
    """
    if data.validation:
        return data
    train, validation = hold_out(data.train, share)
    return dataclasses.replace(data, train=train, validation=validation)
