"""What a decoder is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_SEED = 2**64 - 1

Ending = Literal["end", "stop", "length"]
"""Why a text ends: its end token came, the hook said so, or it has as many tokens as it may."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """One token after the other, drawn from what the model says.

    Args:
        max_tokens: To be made, at most.
        temperature: The logits are divided by it; 0: always the likeliest token.
        top_k: Draw from so many of the likeliest, and what is as likely as the last; 0: from all.
        top_p: Draw from the likeliest that together have this probability, of the `top_k`.
        seed: The same gives the same, whatever else runs; 0 to `MAX_SEED`.
        num_alternatives: So many of the likeliest tokens are told for each.
        forced: Tokens that come first whatever is likely, and are told to nobody on the way: to
            know their log-probabilities. They are of `max_tokens`; what is drawn after them is
            what would be after a prompt that ends with them.
    """

    max_tokens: int
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    num_alternatives: int = 0
    forced: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Beam:
    """The likeliest text, searched for with several at a time.

    Args:
        width: Texts that are followed at a time; 1 takes the likeliest token each time.
        max_tokens: To be made, at most, the end token among them.
        length_penalty: 0 compares sums of log-probabilities; more favours longer texts.
        num_best: Texts to answer, at most `width`.
    """

    width: int
    max_tokens: int
    length_penalty: float = 1.0
    num_best: int = 1


Strategy = Sampling | Beam


class Prompt(NamedTuple):
    """One text to be made.

    Args:
        tokens: int64 (tokens,), what it begins with; one at least, such as the begin token.
        strategy: How each further one is chosen.
        source: int64 (tokens,), what an encoder reads; None without one.
        on_token: Told each token and its log-probability, in a computing thread: must be quick,
            and the text ends where it says True. Not of a beam.
        stream: Told the same, on the event loop. Not of a beam.
    """

    tokens: NDArray[np.int64]
    strategy: Strategy
    source: NDArray[np.int64] | None = None
    on_token: Callable[[int, float], bool] | None = None
    stream: Callable[[int, float], None] | None = None

    @property
    def num_rows(self) -> int:
        """Rows of a batch that it takes."""
        return self.strategy.width if isinstance(self.strategy, Beam) else 1


class Generated(NamedTuple):
    """One text that was made; the end token is not part of it.

    Args:
        tokens: int64 (tokens,).
        logprobs: float64 (tokens,), natural logarithms by the model itself: without temperature.
        score: The logprobs' sum, the end token's with it; of a beam, normalised by length.
        ending: Why it ends.
        attention: float32 (tokens, source), where the graph tells it.
        alternatives: Of each token, the likeliest there and their logprobs, best first.
    """

    tokens: NDArray[np.int64]
    logprobs: NDArray[np.float64]
    score: float
    ending: Ending
    attention: NDArray[np.float32] | None = None
    alternatives: tuple[tuple[tuple[int, float], ...], ...] = ()
