"""Choosing the next token of many texts at a time, each by its own parameters.

A text's t-th draw is made with the t-th number of a counter-based generator of its seed (Philox:
Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), by inverting its cumulative
distribution: what else is in the batch has no part in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.decoding.prompt import Sampling

Logits = NDArray[np.float32]
Floats = NDArray[np.float64]

BLOCK = 64  # numbers made at a time


class Uniforms:
    """Numbers in [0, 1), the t-th a function of the seed and t; alike in every NumPy.

    Args:
        seed: 0 to 2**64 - 1.
    """

    __slots__ = ("_bits", "_made")

    def __init__(self, seed: int) -> None:
        self._bits = np.random.Philox(key=seed)
        self._made: list[float] = []

    def next(self) -> float:
        """The next number."""
        if not self._made:
            raw = self._bits.random_raw(BLOCK) >> np.uint64(11)  # 53 bits
            self._made = (raw[::-1] * 2.0**-53).tolist()
        return self._made.pop()


class Samplers:
    """The parameters of the rows of a batch.

    Args:
        strategies: Of each row.
    """

    def __init__(self, strategies: Sequence[Sampling]) -> None:
        temperature = np.array([it.temperature for it in strategies], dtype=np.float32)
        self.drawn = np.flatnonzero(temperature > 0)
        """Rows that take more than the likeliest token."""
        self._temperature = temperature[self.drawn, None]
        top_k = np.array([it.top_k for it in strategies])[self.drawn]
        top_p = np.array([it.top_p for it in strategies])[self.drawn]
        self._limited = np.flatnonzero((top_k > 0) | (top_p < 1))
        self._top_k = top_k[self._limited]
        self._top_p = top_p[self._limited]

    def draw(self, shifted: Logits, uniforms: Floats) -> NDArray[np.int64]:
        """Tokens of the rows that draw.

        Args:
            shifted: (rows that draw, vocabulary), the logits less their row's largest.
            uniforms: (rows that draw,), in [0, 1).
        """
        weights = np.exp(shifted / self._temperature)
        if self._limited.size:
            _limit(weights, self._limited, self._top_k, self._top_p)
        cumulative = np.cumsum(weights, axis=1, dtype=np.float64)
        total = cumulative[:, -1]
        wanted = np.minimum(uniforms * total, np.nextafter(total, 0))
        tokens: NDArray[np.int64] = (cumulative > wanted[:, None]).argmax(axis=1)
        return tokens


def _limit(
    weights: Logits, rows: NDArray[np.int64], top_k: NDArray[np.int64], top_p: Floats
) -> None:
    """Zero what is not among a row's likeliest; what is as likely as the last of them stays."""
    ordered = -np.sort(-weights[rows], axis=1)
    size = ordered.shape[1]
    last = np.where(top_k > 0, np.minimum(top_k, size), size) - 1
    if (top_p < 1).any():
        ordered[np.arange(size) > last[:, None]] = 0
        cumulative = np.cumsum(ordered, axis=1, dtype=np.float64)
        enough = cumulative >= top_p[:, None] * cumulative[:, -1:]
        last = np.minimum(last, enough.argmax(axis=1))
    least = ordered[np.arange(len(rows)), last]
    weights[rows] = np.where(weights[rows] >= least[:, None], weights[rows], 0)


class Chosen(NamedTuple):
    """What was chosen: of each row.

    Args:
        tokens: int64 (rows,).
        logprobs: float64 (rows,), by the model itself; NaN where a row's logits are no numbers.
        shifted: (rows, vocabulary), the logits less their row's largest.
        log_total: float64 (rows,): a token's logprob is its `shifted` less this.
    """

    tokens: NDArray[np.int64]
    logprobs: Floats
    shifted: Logits
    log_total: Floats

    def alternatives(self, row: int, count: int) -> tuple[tuple[int, float], ...]:
        """The likeliest tokens of a row and their logprobs, best first."""
        shifted = self.shifted[row]
        count = min(count, len(shifted))
        best = np.argpartition(-shifted, count - 1)[:count]
        best = best[np.lexsort((best, -shifted[best]))]
        logprobs = shifted[best] - self.log_total[row]
        return tuple(zip(best.tolist(), logprobs.tolist(), strict=True))


def log_totals(logits: Logits) -> tuple[Logits, Floats]:
    """Log-softmax in two parts: the logits less their row's largest, (rows, vocabulary); and what
    is to be taken from those, (rows,).
    """
    with np.errstate(invalid="ignore"):
        shifted = logits - logits.max(axis=1, keepdims=True)
        return shifted, np.log(np.exp(shifted).sum(axis=1, dtype=np.float64))


def choose(logits: Logits, samplers: Samplers, uniforms: Sequence[float]) -> Chosen:
    """The next token of each row.

    Args:
        logits: (rows, vocabulary); -inf where a token must not be chosen.
        samplers: How each row chooses.
        uniforms: In [0, 1), of each row that draws.
    """
    shifted, log_total = log_totals(logits)
    drawn = samplers.drawn
    if len(drawn) == len(logits):
        tokens = samplers.draw(shifted, np.array(uniforms))
    else:
        tokens = shifted.argmax(axis=1)
        if drawn.size:
            tokens[drawn] = samplers.draw(shifted[drawn], np.array(uniforms))
    logprobs = shifted[np.arange(len(tokens)), tokens] - log_total
    return Chosen(tokens, logprobs, shifted, log_total)
