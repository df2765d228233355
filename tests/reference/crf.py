"""A linear-chain conditional random field by its definition: every tagging there is, enumerated."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from tests.reference.weights import Array


class Enumerated(NamedTuple):
    """Of one sequence: its best tags, their score, log Z and each tag's probability a step."""

    tags: tuple[int, ...]
    score: float
    log_z: float
    marginals: Array


def score(
    emissions: Array, between: Array, start: Array, end: Array, tags: tuple[int, ...]
) -> float:
    """s of these tags: emissions (time, tags), between (tags, tags), start and end (tags,)."""
    total = start[tags[0]] + end[tags[-1]]
    total += sum(emissions[step, tag] for step, tag in enumerate(tags))
    total += sum(between[before, tag] for before, tag in itertools.pairwise(tags))
    return float(total)


def enumerate_all(emissions: Array, between: Array, start: Array, end: Array) -> Enumerated:
    """Everything, from the scores of all tags ** time taggings."""
    num_steps, num_tags = emissions.shape
    every = list(itertools.product(range(num_tags), repeat=num_steps))
    scores = np.array([score(emissions, between, start, end, tags) for tags in every])
    best = int(scores.argmax())
    log_z = float(np.log(np.exp(scores - scores.max()).sum()) + scores.max())
    marginals = np.zeros((num_steps, num_tags))
    for tags, probability in zip(every, np.exp(scores - log_z), strict=True):
        marginals[np.arange(num_steps), list(tags)] += probability
    return Enumerated(every[best], float(scores[best]), log_z, marginals)
