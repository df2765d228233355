"""What a language model must beat: counts of what followed the last few characters.

Interpolated n-grams (Witten & Bell, "The zero-frequency problem", 1991): after a context h of k
characters that was followed N(h) times by T(h) different ones,

    p_k(c | h) = (count(h c) + T(h) p_(k-1)(c | h')) / (N(h) + T(h))      h' = h without its first

and p_(-1) the same for all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.data.texts.characters import Tokens

MAX_GRAMS = 2**62
"""There may be no more than this, so that each has a number of its own."""


def ngram_nats(train: Tokens, test: Tokens, num_tokens: int, order: int) -> float:
    """The mean negative log-likelihood of a text's characters given `order` - 1 before each.

    Args:
        train: int64 (characters,), counted.
        test: The same, scored; its first `order` - 1 are only given.
        num_tokens: Of the vocabulary; to the power of `order` it is at most `MAX_GRAMS`.
        order: 1 counts characters alone.
    """
    probabilities = np.full(len(test) - order + 1, 1.0 / num_tokens)
    for size in range(1, order + 1):
        seen, found = (
            _grams(train, num_tokens, size),
            _grams(test, num_tokens, size)[order - size :],
        )
        grams, counts = np.unique(seen, return_counts=True)
        contexts, first, followers = np.unique(
            grams // num_tokens, return_index=True, return_counts=True
        )
        totals = np.add.reduceat(counts, first)
        count = _look_up(grams, counts, found)
        total = _look_up(contexts, totals, found // num_tokens)
        kinds = _look_up(contexts, followers, found // num_tokens)
        with np.errstate(invalid="ignore"):  # a context never seen
            mixed = (count + kinds * probabilities) / (total + kinds)
        probabilities = np.where(total > 0, mixed, probabilities)
    return float(-np.log(probabilities).mean())


def _grams(text: Tokens, num_tokens: int, size: int) -> NDArray[np.int64]:
    """Every run of so many characters as one number, the last character its lowest digit."""
    count = len(text) - size + 1
    grams = np.zeros(count, np.int64)
    for place in range(size):
        grams = grams * num_tokens + text[place : place + count]
    return grams


def _look_up(
    keys: NDArray[np.int64], values: NDArray[np.int64], wanted: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The value of each wanted key, 0 where there is none."""
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, values[places], 0)
