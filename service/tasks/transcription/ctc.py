"""Connectionist temporal classification: from a distribution a step to labels, scores and times.

CTC (Graves, Fernandez, Gomez & Schmidhuber, ICML 2006) has the network say at every step one label
or `blank`, nothing. A path is one choice a step; B(path), what it says, leaves out repetitions and
then blanks. What a labelling l is worth is the sum over every path that says it:

    p(l) = sum over paths with B(path) = l of  product over t of  p(path(t) at t)

NumPy only, all in logarithms, shared with training: `greedy` gives B of the likeliest path,
`beam_search` looks for the likeliest labelling (prefix beam search: Hannun, Maas, Jurafsky & Ng
2014), `log_likelihood` is log p(l) by the forward recursion, `align` the likeliest path of l.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Logs = NDArray[np.float64]
Labels = tuple[int, ...]


class Hypothesis(NamedTuple):
    """A labelling that a beam has found."""

    labels: Labels
    log_probability: float
    """Of the paths that the beam kept: at most log p(l)."""


class Span(NamedTuple):
    """Where a path says a label: steps `start` to `end`, without `end`."""

    start: int
    end: int


def log_softmax(logits: NDArray[np.float32]) -> Logs:
    """Log probabilities float64 (..., classes) of logits of the same shape."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    logs: Logs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return logs


def greedy(logs: Logs, blank: int) -> Labels:
    """What the likeliest path says.

    Args:
        logs: float64 (time, classes), log probabilities.
        blank: The class that says nothing.
    """
    path = logs.argmax(axis=1)
    is_said = (path != blank) & np.append(True, path[1:] != path[:-1])
    return tuple(path[is_said].tolist())


def log_likelihood(logs: Logs, labels: Labels, blank: int) -> float:
    """log p(labels): the forward recursion over `labels` with blanks around each.

    Args:
        logs: float64 (time, classes), log probabilities.
        labels: Any; minus infinity if no path of this many steps says them.
        blank: The class that says nothing.
    """
    extended, may_skip = _with_blanks(labels, blank)
    forward = _first(logs, extended)
    for now in logs[1:, extended]:
        step, skip = _from_before(forward, may_skip)
        forward = np.logaddexp(np.logaddexp(forward, step), skip) + now
    return float(np.logaddexp.reduce(forward[-2:]))


def align(logs: Logs, labels: Labels, blank: int) -> list[Span]:
    """Where the likeliest path of `labels` says each of them (Viterbi).

    Args:
        logs: float64 (time, classes), log probabilities.
        labels: What some path of this many steps says.
        blank: The class that says nothing.
    Raises:
        ValueError: No path says them.
    """
    extended, may_skip = _with_blanks(labels, blank)
    best = _first(logs, extended)
    origins = np.zeros((len(logs), len(extended)), dtype=np.int64)  # how many places back
    for step, now in enumerate(logs[1:, extended], start=1):
        ways = np.stack([best, *_from_before(best, may_skip)])
        origins[step] = ways.argmax(axis=0)
        best = ways.max(axis=0) + now
    place = len(extended) - 1
    if place and best[-2] > best[-1]:
        place -= 1
    if best[place] == -np.inf:
        raise ValueError(f"no path of {len(logs)} steps says {len(labels)} labels")
    path = np.empty(len(logs), dtype=np.int64)
    for step in range(len(logs) - 1, -1, -1):
        path[step] = place
        place -= origins[step, place]
    odd = 2 * np.arange(len(labels)) + 1
    starts, ends = np.searchsorted(path, odd), np.searchsorted(path, odd, side="right")
    return [Span(int(start), int(end)) for start, end in zip(starts, ends, strict=True)]


def beam_search(logs: Logs, width: int, blank: int) -> list[Hypothesis]:
    """The likeliest labellings that a beam of `width` prefixes finds, best first.

    A prefix is worth what its paths so far are: those that end in blank, and those that end in its
    last label, apart, because only after a blank is the same label said anew. A step takes every
    prefix on by itself (blank, or its last label again) and by each label; an extension that is a
    prefix of the beam already is added to it.

    Args:
        logs: float64 (time, classes), log probabilities.
        width: Prefixes kept after each step, at least 1.
        blank: The class that says nothing.
    """
    num_classes = logs.shape[1]
    prefixes: list[Labels] = [()]
    numbers: dict[Labels, int] = {(): 0}
    number = np.zeros(1, dtype=np.int64)  # of each prefix of the beam
    parent = np.full(1, -1)  # the number of the prefix without its last label
    last = np.full(1, -1)
    in_blank, in_label = np.zeros(1), np.full(1, -np.inf)
    for now in logs:
        count = len(number)
        either = np.logaddexp(in_blank, in_label)
        rows = np.arange(count)
        has_last = last >= 0
        longer = either[:, None] + now  # (beam, classes)
        longer[rows[has_last], last[has_last]] = in_blank[has_last] + now[last[has_last]]
        longer[:, blank] = -np.inf
        in_blank = either + now[blank]
        in_label = np.where(has_last, in_label + now[last], -np.inf)
        shorter, own = np.nonzero(
            number[:, None] == parent
        )  # a prefix and its extension, both here
        in_label[own] = np.logaddexp(in_label[own], longer[shorter, last[own]])
        longer[shorter, last[own]] = -np.inf
        worth = np.concatenate([np.logaddexp(in_blank, in_label), longer.ravel()])
        kept = _largest(worth, width)
        old, new = kept[kept < count], kept[kept >= count] - count
        grown, added = np.divmod(new, num_classes)
        prefixes, added_numbers = _extended(prefixes, numbers, old, grown, added)
        last = np.concatenate([last[old], added])
        parent = np.concatenate([parent[old], number[grown]])
        number = np.concatenate([number[old], added_numbers])
        in_blank = np.concatenate([in_blank[old], np.full(len(new), -np.inf)])
        in_label = np.concatenate([in_label[old], longer[grown, added]])
    worth = np.logaddexp(in_blank, in_label)
    order = np.argsort(-worth, kind="stable")
    return [Hypothesis(prefixes[place], float(worth[place])) for place in order]


def _with_blanks(labels: Labels, blank: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """`labels` with a blank before, between and after: (2 labels + 1,), and where a path may come

    from two places back: to a label that is not the one before it.
    """
    extended = np.full(2 * len(labels) + 1, blank, dtype=np.int64)
    extended[1::2] = labels
    may_skip = np.zeros(len(extended), dtype=np.bool_)
    may_skip[3::2] = extended[3::2] != extended[1:-2:2]
    return extended, may_skip


def _first(logs: Logs, extended: NDArray[np.int64]) -> Logs:
    """Log probabilities of the places (extended,) after a step: paths begin in the first two."""
    values = np.full(len(extended), -np.inf)
    values[:2] = logs[0, extended[:2]]
    return values


def _from_before(values: Logs, may_skip: NDArray[np.bool_]) -> tuple[Logs, Logs]:
    """For each place, what came from one place back and from two, both (extended,)."""
    before = np.concatenate([np.full(2, -np.inf), values])
    return before[1:-1], np.where(may_skip, before[:-2], -np.inf)


def _largest(values: Logs, count: int) -> NDArray[np.int64]:
    """The places of the `count` largest, in order of place; none of minus infinity."""
    places = np.arange(len(values))
    if len(values) > count:
        places = np.sort(np.argpartition(values, -count)[-count:])
    kept: NDArray[np.int64] = places[values[places] > -np.inf]
    return kept


def _extended(
    prefixes: list[Labels],
    numbers: dict[Labels, int],
    old: NDArray[np.int64],
    grown: NDArray[np.int64],
    added: NDArray[np.int64],
) -> tuple[list[Labels], NDArray[np.int64]]:
    """The next beam's prefixes: some of the old, then some grown by a label; the latter's numbers.

    A prefix that was dropped and comes again has its old number: its extensions may still be here.
    """
    longer = [
        (*prefixes[place], label)
        for place, label in zip(grown.tolist(), added.tolist(), strict=True)
    ]
    new_numbers = [numbers.setdefault(prefix, len(numbers)) for prefix in longer]
    kept = [prefixes[place] for place in old.tolist()]
    return kept + longer, np.array(new_numbers, dtype=np.int64)
