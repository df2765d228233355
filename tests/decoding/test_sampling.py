"""Drawing tokens: against plain loops, and by the seed alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.decoding.prompt import MAX_SEED, Prompt, Sampling
from service.decoding.sampling import Samplers, Uniforms, choose
from tests.decoding.fakes import END, VOCABULARY, FakeLstm, tokens_of
from tests.decoding.harness import ByHand
from tests.decoding.reference import logprobs_of


@given(st.integers(0, MAX_SEED), st.integers(1, 200))
def test_uniforms_are_those_of_the_seed(seed: int, count: int) -> None:
    uniforms = Uniforms(seed)
    wanted = np.random.Generator(np.random.Philox(key=seed)).random(count)
    assert [uniforms.next() for _ in range(count)] == wanted.tolist()


def test_a_seed_gives_these_numbers_for_ever() -> None:
    uniforms = Uniforms(7)
    assert [uniforms.next() for _ in range(3)] == [
        0.8720734548204873,
        0.29536538151378355,
        0.4200976785072422,
    ]


@settings(max_examples=30)
@given(
    st.sampled_from([0.3, 1.0, 3.0]),
    st.sampled_from([0, 1, 4, 99]),
    st.sampled_from([0.2, 0.8, 1.0]),
)
def test_tokens_come_as_often_as_their_shares(temperature: float, top_k: int, top_p: float) -> None:
    logits = np.random.default_rng(1).standard_normal((1, VOCABULARY)).astype(np.float32)
    count = 2_000
    samplers = Samplers([Sampling(1, temperature, top_k, top_p)] * count)
    uniforms = (np.arange(count) + 0.5) / count
    chosen = choose(np.repeat(logits, count, axis=0), samplers, uniforms.tolist())
    found = np.bincount(chosen.tokens, minlength=VOCABULARY) / count
    wanted = np.exp(logprobs_of(logits[0] / temperature))
    order = np.argsort(-wanted)
    wanted[order[top_k or VOCABULARY :]] = 0
    before = np.cumsum(wanted[order]) - wanted[order]
    wanted[order[before >= top_p * wanted.sum()]] = 0
    np.testing.assert_allclose(found, wanted / wanted.sum(), atol=1.01 / count)
    logprobs = logprobs_of(logits[0].astype(float))[chosen.tokens]
    np.testing.assert_allclose(chosen.logprobs, logprobs, atol=1e-6)


def test_forbidden_tokens_never_come() -> None:
    logits = np.zeros((4, 5), np.float32)
    logits[:, [0, 4]] = -np.inf
    samplers = Samplers(
        [Sampling(1, 1.0, 5), Sampling(1, 1.0, 0, 0.999), Sampling(1), Sampling(1, 0)]
    )
    for uniform in (0.0, 0.5, 1 - 2.0**-53):
        tokens = choose(logits, samplers, [uniform] * 3).tokens
        assert set(tokens.tolist()) <= {1, 2, 3}


def test_equally_likely_tokens_are_all_kept() -> None:
    logits = np.zeros((2, 4), np.float32)
    samplers = Samplers([Sampling(1, 1.0, 2), Sampling(1, 1.0, 0, 0.5)])
    assert choose(logits, samplers, [0.9, 0.9]).tokens.tolist() == [3, 3]


def test_alternatives_are_the_likeliest() -> None:
    prompt = Prompt(tokens_of([2]), Sampling(4, num_alternatives=3, seed=3))
    ((text,),) = ByHand(FakeLstm(end=None)).run(prompt)
    assert len(text.alternatives) == len(text.tokens) == 4
    for options, token, logprob in zip(text.alternatives, text.tokens, text.logprobs, strict=True):
        assert len(options) == 3
        values = [value for _, value in options]
        assert values == sorted(values, reverse=True)
        assert values[0] >= logprob
        assert dict(options).get(int(token), logprob) == pytest.approx(logprob)


def test_a_hook_ends_its_own_text() -> None:
    told: list[tuple[int, float]] = []

    def on_token(token: int, logprob: float) -> bool:
        told.append((token, logprob))
        return len(told) == 3

    free = Prompt(tokens_of([2]), Sampling(6, seed=5))
    (hooked,), (other,) = ByHand(FakeLstm(end=None)).run(free._replace(on_token=on_token), free)
    assert (hooked.ending, other.ending) == ("stop", "length")
    assert hooked.tokens.tolist() == other.tokens.tolist()[:3] == [token for token, _ in told]


def test_the_end_token_is_told_nobody() -> None:
    told: list[int] = []
    prompt = Prompt(tokens_of([2]), Sampling(150, seed=1), stream=None)
    hook = prompt._replace(on_token=lambda token, _: told.append(token) or False)  # type: ignore[func-returns-value]
    ((text,),) = ByHand(FakeLstm()).run(hook)
    assert text.ending == "end"
    assert END not in told
    assert text.tokens.tolist() == told
    assert text.score < text.logprobs.sum()
