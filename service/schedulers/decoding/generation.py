"""One text on its way: what it feeds next, and what comes of the answer."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from service.decoding.beam import BeamSearch
from service.decoding.prompt import Beam, Ending, Generated, Prompt, Sampling
from service.decoding.sampling import Chosen, Samplers, Uniforms
from service.graphs.decoders.states import States

_new_serial = itertools.count()


class Group:
    """Texts whose state lies in one batch.

    Args:
        states: Of all their rows.
        serials: Of each.
    """

    __slots__ = ("has_moved", "samplers", "serials", "states")

    def __init__(self, states: States, serials: list[int]) -> None:
        self.states = states
        self.serials = serials
        self.has_moved = False
        """Whether a text needs other rows than it had: a beam."""
        self.samplers: Samplers | None = None
        """Of these texts, if they are all of that kind and past their prompts."""


class Generation:
    """One text on its way.

    Args:
        prompt: What is asked.
        chunk_steps: Tokens of it to feed at a time.
    """

    __slots__ = (
        "_chunk_steps", "_left", "failure", "first", "group", "last_s", "parents", "pieces",
        "prompt", "serial", "source_length",
    )  # fmt: skip

    def __init__(self, prompt: Prompt, chunk_steps: int) -> None:
        self.prompt = prompt
        self.source_length = None if prompt.source is None else len(prompt.source)
        self.serial = next(_new_serial)
        self.failure: Exception | None = None
        self.group: Group | None = None
        """Where its state lies; None before it runs and after."""
        self.first = 0
        """Its first row there."""
        self.parents: NDArray[np.int64] | None = None
        """The rows it goes on from, counted from there; None: those that it had, in order."""
        self.last_s: float | None = None
        """When its last token came."""
        self._chunk_steps = chunk_steps
        self._left: list[int] = prompt.tokens.tolist()
        self.pieces: list[list[int]] = []
        """What each of its rows feeds next."""
        self._next_chunk()

    @property
    def is_reading(self) -> bool:
        """Whether more of the prompt is to come after what it feeds next."""
        return bool(self._left)

    def _next_chunk(self) -> None:
        self.pieces = [self._left[: self._chunk_steps]]
        del self._left[: self._chunk_steps]

    def read_on(self) -> None:
        """Go on to the next part of the prompt."""
        self._next_chunk()

    def rows(self) -> NDArray[np.int64]:
        """Where in its group's batch its state lies."""
        if self.parents is None:
            return np.arange(self.first, self.first + len(self.pieces))
        return self.first + self.parents

    def results(self) -> list[Generated]:
        """What was made, best first."""
        raise NotImplementedError


class SamplingGeneration(Generation):
    """A text that is drawn token by token.

    Args:
        prompt: What is asked.
        strategy: Its own.
        chunk_steps: Tokens of it to feed at a time.
        end: The end token; None: there is none.
    """

    __slots__ = (
        "_alternatives", "_attention", "_draw", "_end", "_ending", "_num_forced", "_score",
        "logprobs", "next_uniform", "strategy", "tokens",
    )  # fmt: skip

    def __init__(
        self, prompt: Prompt, strategy: Sampling, chunk_steps: int, end: int | None
    ) -> None:
        super().__init__(prompt, chunk_steps)
        self.strategy = strategy
        self.tokens: list[int] = []
        self.logprobs: list[float] = []
        self._end = end
        self.next_uniform = Uniforms(strategy.seed).next
        """Gives the number that its next token is drawn with."""
        self._num_forced = len(strategy.forced)
        if self._num_forced:  # those need no numbers: what follows is drawn as if they were read
            self._draw = self.next_uniform
            self.next_uniform = float
        self._score = 0.0
        self._ending: Ending = "length"
        self._attention: list[NDArray[np.float32]] = []
        self._alternatives: list[tuple[tuple[int, float], ...]] = []

    @property
    def is_forced(self) -> bool:
        """Whether its next token is given."""
        return len(self.tokens) < self._num_forced

    def accept(
        self, chosen: Chosen, row: int, token: int, logprob: float,
        attention: NDArray[np.float32] | None,
    ) -> bool:  # fmt: skip
        """Take its next token.

        Args:
            chosen: What it is of, for alternatives.
            row: Its own there.
            token: The token.
            logprob: Its log-probability.
            attention: (source,), of this step, if the graph tells it.

        Returns:
            Whether the text goes on.
        """
        if logprob != logprob:  # no number
            raise ValueError("the logits are no numbers")
        if is_forced := self.is_forced:
            token = self.strategy.forced[len(self.tokens)]
            logprob = float(chosen.shifted[row, token] - chosen.log_total[row])
        self._score += logprob
        if token == self._end:
            self._ending = "end"
            return False
        self.tokens.append(token)
        self.logprobs.append(logprob)
        self.pieces = [[token]]
        if attention is not None:
            self._attention.append(attention.copy())
        if self.strategy.num_alternatives:
            self._alternatives.append(chosen.alternatives(row, self.strategy.num_alternatives))
        if is_forced:
            if not self.is_forced:
                self.next_uniform = self._draw
        elif self.prompt.on_token is not None and self.prompt.on_token(token, logprob):
            self._ending = "stop"
            return False
        return len(self.tokens) < self.strategy.max_tokens

    def results(self) -> list[Generated]:
        """The one text that was made."""
        attention = None
        if self._attention:
            attention = np.array(self._attention, dtype=np.float32)
        elif self.source_length is not None and not self.tokens:
            attention = np.zeros((0, self.source_length), dtype=np.float32)
        return [
            Generated(
                np.array(self.tokens, dtype=np.int64),
                np.array(self.logprobs, dtype=np.float64),
                self._score,
                self._ending,
                attention,
                tuple(self._alternatives),
            )
        ]


class BeamGeneration(Generation):
    """A text that is searched for.

    Args:
        prompt: What is asked.
        strategy: Its own.
        chunk_steps: Tokens of it to feed at a time.
        end: The end token; None: there is none.
    """

    __slots__ = ("_search",)

    def __init__(self, prompt: Prompt, strategy: Beam, chunk_steps: int, end: int | None) -> None:
        super().__init__(prompt, chunk_steps)
        self._search = BeamSearch(strategy, end)

    def advance(self, logits: NDArray[np.float32], attention: NDArray[np.float32] | None) -> bool:
        """Take one step of its rows; whether the search goes on."""
        search = self._search
        search.advance(logits, None if attention is None else attention.copy())
        if search.is_done:
            return False
        parents = search.parents
        if len(parents) != len(self.pieces) or (parents != np.arange(len(parents))).any():
            self.parents = parents
            assert self.group is not None
            self.group.has_moved = True
        self.pieces = [[token] for token in search.tokens.tolist()]
        return True

    def results(self) -> list[Generated]:
        """The best texts, best first."""
        return self._search.results()


def begin(prompt: Prompt, chunk_steps: int, end: int | None) -> Generation:
    """A text to be made."""
    strategy = prompt.strategy
    if isinstance(strategy, Beam):
        return BeamGeneration(prompt, strategy, chunk_steps, end)
    return SamplingGeneration(prompt, strategy, chunk_steps, end)
