"""Tokens that are given: their log-probabilities, and what is drawn after them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.decoding.prompt import Prompt, Sampling
from tests.decoding.fakes import FakeAttention, FakeDecoder, FakeLstm, tokens_of
from tests.decoding.harness import ByHand, samplings, token_lists
from tests.decoding.reference import expected, logits_of, logprobs_of


@settings(max_examples=25, deadline=None)
@given(
    decoder=st.sampled_from([FakeLstm(end=None), FakeAttention(end=None)]),
    strategy=samplings,
    begin=token_lists,
    given_=token_lists,
    others=st.lists(samplings, max_size=2),
)
def test_given_tokens_are_scored_and_gone_on_from(
    decoder: FakeDecoder,
    strategy: Sampling,
    begin: list[int],
    given_: list[int],
    others: list[Sampling],
) -> None:
    told: list[int] = []
    size = len(given_)
    forced = replace(strategy, max_tokens=size + strategy.max_tokens, forced=tuple(given_))

    def hear(token: int, logprob: float) -> bool:
        told.append(token)
        return False

    prompt = Prompt(tokens_of(begin), forced, on_token=hear)
    neighbours = [Prompt(tokens_of(given_), other) for other in others]
    ((found,), *_) = ByHand(decoder).run(prompt, *neighbours)
    assert found.tokens[:size].tolist() == given_
    wanted = [
        logprobs_of(logits_of(decoder, prompt, given_[:place]))[token]
        for place, token in enumerate(given_)
    ]
    np.testing.assert_allclose(found.logprobs[:size], wanted, atol=1e-5)
    ((tokens, logprobs, _),) = expected(decoder, Prompt(tokens_of(begin + given_), strategy))
    assert found.tokens[size:].tolist() == tokens == told
    np.testing.assert_allclose(found.logprobs[size:], logprobs, atol=1e-5)
