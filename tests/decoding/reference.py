"""What a text must come to: every step from the very beginning, alone, in plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from service.decoding.prompt import Beam, Prompt, Sampling
from tests.decoding.fakes import FakeDecoder

Text = tuple[list[int], list[float], float]
"""Tokens, their logprobs and the score."""


def logits_of(decoder: FakeDecoder, prompt: Prompt, tokens: list[int]) -> NDArray[np.float64]:
    """The logits after the prompt and these tokens."""
    spec = decoder.spec
    held = {it.input: np.full(it.shape, it.initial, np.float32) for it in spec.state}
    if spec.cache:
        held["cache"] = np.zeros((0, spec.cache.width), np.float32)
        held["cache_lengths"] = np.array(0)
    if prompt.source is not None:
        encoded = decoder.encode(prompt.source[None], np.array([len(prompt.source)]))
        held |= {name: array[0] for name, array in encoded.items()}
        held["memory_lengths"] = np.array(len(prompt.source))
    row = decoder.row(np.concatenate([prompt.tokens, np.array(tokens, int)]), held)
    logits = row["logits"].astype(np.float32).astype(float)
    logits[list(spec.forbidden)] = -np.inf
    return logits


def logprobs_of(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-softmax."""
    shifted = logits - logits.max()
    answer: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return answer


def sampled(decoder: FakeDecoder, prompt: Prompt, strategy: Sampling) -> Text:
    """A text drawn token by token."""
    random = np.random.Generator(np.random.Philox(key=strategy.seed))
    tokens: list[int] = []
    logprobs: list[float] = []
    score = 0.0
    while len(tokens) < strategy.max_tokens:
        logits = logits_of(decoder, prompt, tokens)
        token = int(logits.argmax())
        if strategy.temperature > 0:
            token = _draw(logits / strategy.temperature, strategy, random.random())
        logprob = float(logprobs_of(logits)[token])
        score += logprob
        if token == decoder.spec.end:
            break
        tokens.append(token)
        logprobs.append(logprob)
    return tokens, logprobs, score


def _draw(logits: NDArray[np.float64], strategy: Sampling, uniform: float) -> int:
    kept = sorted(range(len(logits)), key=lambda token: -logits[token])
    if strategy.top_k:
        kept = kept[: strategy.top_k]
    weights = [math.exp(logits[token] - logits.max()) for token in kept]
    if strategy.top_p < 1:
        share, count = 0.0, 0
        while share < strategy.top_p * sum(weights):
            share += weights[count]
            count += 1
        kept, weights = kept[:count], weights[:count]
    by_token = sorted(zip(kept, weights, strict=True))
    wanted = uniform * sum(weights)
    for token, weight in by_token:
        wanted -= weight
        if wanted < 0:
            return token
    return by_token[-1][0]


def searched(
    logits_after: Callable[[list[int]], NDArray[np.float64]], beam: Beam, end: int | None
) -> list[Text]:
    """Beam search with lists, and without any early stop.

    Args:
        logits_after: The logits after these tokens.
        beam: What is asked.
        end: The end token.
    """
    live: list[tuple[list[int], list[float]]] = [([], [])]
    ended: list[tuple[float, list[int], list[float]]] = []
    for step in range(1, beam.max_tokens + 1):
        grown = [
            ([*tokens, token], [*logprobs, float(logprob)])
            for tokens, logprobs in live
            for token, logprob in enumerate(logprobs_of(logits_after(tokens)))
            if np.isfinite(logprob)
        ]
        grown.sort(key=lambda it: -sum(it[1]))
        grown = grown[: beam.width - len(ended)]
        live = []
        for tokens, logprobs in grown:
            if tokens[-1] != end and step < beam.max_tokens:
                live.append((tokens, logprobs))
                continue
            score = sum(logprobs) / ((5 + step) / 6) ** beam.length_penalty
            size = step - (tokens[-1] == end)
            ended.append((score, tokens[:size], logprobs[:size]))
        if not live:
            break
    ended.sort(key=lambda it: -it[0])
    return [(tokens, logprobs, score) for score, tokens, logprobs in ended[: beam.num_best]]


def expected(decoder: FakeDecoder, prompt: Prompt) -> list[Text]:
    """What the service owes a prompt."""
    strategy = prompt.strategy
    if isinstance(strategy, Beam):
        return searched(
            lambda tokens: logits_of(decoder, prompt, tokens), strategy, decoder.spec.end
        )
    return [sampled(decoder, prompt, strategy)]
