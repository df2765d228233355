"""Beam search for one text.

A hypothesis that ends leaves the beam, which is narrower by one from then on (Sutskever et al.,
"Sequence to sequence learning with neural networks", 2014): so that a beam of width 1 takes the
likeliest token each time, and the search ends by itself. Hypotheses of different lengths are
compared by Wu et al., "Google's neural machine translation system", 2016, equation 14: the sum of
the log-probabilities over ((5 + length) / 6) ** length_penalty.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.decoding.prompt import Beam, Ending, Generated
from service.decoding.sampling import log_totals

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


def penalty(length: int, length_penalty: float) -> float:
    """What a sum of log-probabilities of so many tokens is divided by."""
    return float(((5 + length) / 6) ** length_penalty)


class _Step(NamedTuple):
    """What lives after a step: of each hypothesis (live,), and where it came from."""

    parents: Integers
    tokens: Integers
    logprobs: Floats
    attention: NDArray[np.float32] | None  # (live before, source)


class _Ended(NamedTuple):
    """A hypothesis that ended: a row of what lived after so many steps, and one more token if the
    end token was it.
    """

    score: float
    num_steps: int
    row: int
    ending: Ending


class BeamSearch:
    """The hypotheses of one text.

    Args:
        beam: What is asked.
        end: The end token; None: there is none.
    """

    def __init__(self, beam: Beam, end: int | None) -> None:
        self._beam = beam
        self._end = end
        self._steps: list[_Step] = []
        self._ended: list[_Ended] = []
        self._totals: Floats = np.zeros(1)  # (live,), sums of log-probabilities
        self.tokens: Integers = np.zeros(1, dtype=np.int64)
        """The last token of each that lives, (live,)."""
        self.parents: Integers = np.zeros(1, dtype=np.int64)
        """Which row of the last step each that lives goes on from, (live,)."""

    @property
    def is_done(self) -> bool:
        """Whether nothing lives any more."""
        return not len(self.tokens)

    def advance(
        self, logits: NDArray[np.float32], attention: NDArray[np.float32] | None = None
    ) -> None:
        """Take one step: rows are what lives.

        Args:
            logits: (live, vocabulary); -inf where a token must not be chosen.
            attention: float32 (live, source), where there is one.

        Raises:
            ValueError: The logits are no numbers, or no token may be chosen.
        """
        shifted, log_total = log_totals(logits)
        count = self._beam.width - len(self._ended)
        tokens = _best_of_each(shifted, min(count, shifted.shape[1]))
        parents = np.repeat(np.arange(len(tokens)), tokens.shape[1])
        tokens = tokens.ravel()
        logprobs = shifted[parents, tokens] - log_total[parents]
        totals = self._totals[parents] + logprobs
        found = np.lexsort((tokens, parents, -totals))[:count]
        found = found[np.isfinite(totals[found])]
        if not len(found):
            raise ValueError("no token can follow")
        parents, tokens, logprobs = parents[found], tokens[found], logprobs[found]
        self._totals = totals[found]
        lives = np.ones(len(found), dtype=bool) if self._end is None else tokens != self._end
        num_steps = len(self._steps)
        for at in np.flatnonzero(~lives).tolist():
            self._note(num_steps, int(parents[at]), self._totals[at], "end")
        self._totals, self.parents, self.tokens = self._totals[lives], parents[lives], tokens[lives]
        self._steps.append(_Step(self.parents, self.tokens, logprobs[lives], attention))
        if num_steps + 1 >= self._beam.max_tokens:
            for row, total in enumerate(self._totals.tolist()):
                self._note(num_steps + 1, row, total, "length")
            self._stop()
        elif not self._can_win():
            self._stop()

    def _note(self, num_steps: int, row: int, total: float, ending: Ending) -> None:
        length = num_steps + (ending == "end")
        score = total / penalty(length, self._beam.length_penalty)
        self._ended.append(_Ended(score, num_steps, row, ending))

    def _can_win(self) -> bool:
        """Whether what lives may yet be among the best: at best, if all its tokens were certain."""
        beam = self._beam
        if len(self._ended) < beam.num_best or not len(self._totals):
            return True
        least = sorted((it.score for it in self._ended), reverse=True)[beam.num_best - 1]
        hoped = self._totals.max() / penalty(beam.max_tokens, beam.length_penalty)
        return bool(hoped > least)

    def _stop(self) -> None:
        self.tokens = self.parents = np.zeros(0, dtype=np.int64)

    def results(self) -> list[Generated]:
        """The best, best first."""
        best = sorted(self._ended, key=lambda it: -it.score)  # of equals, what ended first
        return [self._generated(it) for it in best[: self._beam.num_best]]

    def _generated(self, ended: _Ended) -> Generated:
        tokens, logprobs, attention = [], [], []
        row = ended.row
        for step in reversed(self._steps[: ended.num_steps]):
            tokens.append(step.tokens[row])
            logprobs.append(step.logprobs[row])
            row = step.parents[row]
            if step.attention is not None:
                attention.append(step.attention[row])
        width = 0 if self._steps[0].attention is None else self._steps[0].attention.shape[1]
        return Generated(
            np.array(tokens[::-1], dtype=np.int64),
            np.array(logprobs[::-1], dtype=np.float64),
            float(ended.score),
            ended.ending,
            np.array(attention[::-1], dtype=np.float32).reshape(-1, width) if width else None,
        )


def _best_of_each(logits: NDArray[np.float32], count: int) -> Integers:
    """The largest of each row, the largest first: (rows, count).

    One search for the largest after the other: some hundred times faster than a partition.
    """
    left = logits.copy()
    rows = np.arange(len(left))
    found = np.empty((len(left), count), dtype=np.int64)
    for place in range(count):
        found[:, place] = at = left.argmax(axis=1)
        left[rows, at] = -np.inf
    return found
