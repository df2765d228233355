"""BIO tags and the spans that they mark; used alike for answers and for training's metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

OUTSIDE = "O"


class Span(NamedTuple):
    """Some neighbouring words: from the word `begin` up to, not with, the word `end`."""

    label: str
    begin: int
    end: int


def is_span_set(tags: Iterable[str]) -> bool:
    """Whether a set of tags is BIO: `O` beside `B-…` and `I-…` only."""
    kinds = {tag if tag == OUTSIDE else tag[:2] for tag in tags}
    return OUTSIDE in kinds and len(kinds) > 1 and kinds <= {OUTSIDE, "B-", "I-"}


def spans_of(tags: Sequence[str]) -> list[Span]:
    """The spans of one sentence's BIO tags, in order.

    An I that continues nothing of its label begins a span, as in the CoNLL evaluation.
    """
    spans: list[Span] = []
    begin = 0
    before = OUTSIDE
    for place, tag in enumerate([*tags, OUTSIDE]):
        continues = tag.startswith("I-") and before[2:] == tag[2:]
        if not continues:
            if before != OUTSIDE:
                spans.append(Span(before[2:], begin, place))
            begin = place
        before = tag
    return spans


def may_follow(before: str, tag: str) -> bool:
    """Whether BIO allows a tag after another; before the first word stands `O`."""
    return not tag.startswith("I-") or (before != OUTSIDE and before[2:] == tag[2:])
