"""Beam search: against a search with lists, against all texts there are, and by known scores."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.decoding.beam import BeamSearch
from service.decoding.prompt import Beam, Generated, Prompt, Sampling
from tests.decoding.fakes import FakeTranslator, tokens_of
from tests.decoding.harness import ByHand, check_text
from tests.decoding.reference import logprobs_of, searched

VOCABULARY, END = 4, 1


def logits_after(seed: int, tokens: list[int]) -> NDArray[np.float32]:
    """Of a made model that knows all it said."""
    random = np.random.default_rng([seed, *tokens])
    return (2 * random.standard_normal(VOCABULARY)).astype(np.float32)


def run(seed: int, beam: Beam, end: int | None = END) -> tuple[list[Generated], int]:
    """What is found, and in how many steps."""
    search = BeamSearch(beam, end)
    texts: list[list[int]] = [[]]
    steps = 0
    while not search.is_done:
        search.advance(np.stack([logits_after(seed, tokens) for tokens in texts]))
        steps += 1
        texts = [
            [*texts[parent], token]
            for parent, token in zip(search.parents.tolist(), search.tokens.tolist(), strict=True)
        ]
    return search.results(), steps


beams = st.integers(1, 6).flatmap(
    lambda width: st.builds(
        Beam,
        width=st.just(width),
        max_tokens=st.integers(1, 7),
        length_penalty=st.floats(0, 3),
        num_best=st.integers(1, width),
    )
)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10_000), beams, st.sampled_from([END, None]))
def test_beam_is_what_lists_find(seed: int, beam: Beam, end: int | None) -> None:
    found, _ = run(seed, beam, end)
    wanted = searched(lambda tokens: logits_after(seed, tokens).astype(float), beam, end)
    assert len(found) == len(wanted)
    for generated, text in zip(found, wanted, strict=True):
        check_text(generated, text)


@pytest.mark.parametrize("seed", range(10))
def test_a_beam_as_wide_as_all_texts_finds_the_best_of_them(seed: int) -> None:
    longest, alpha = 4, 0.8
    best = -np.inf
    for size in range(1, longest + 1):
        for tokens in itertools.product(range(VOCABULARY), repeat=size):
            is_whole = END not in tokens[:-1] and (tokens[-1] == END or size == longest)
            if not is_whole:
                continue
            total = sum(
                logprobs_of(logits_after(seed, list(tokens[:at])).astype(float))[token]
                for at, token in enumerate(tokens)
            )
            best = max(best, total / ((5 + size) / 6) ** alpha)
    found, _ = run(seed, Beam(VOCABULARY**longest, longest, alpha))
    assert found[0].score == pytest.approx(best, abs=1e-5)


def test_it_stops_when_nothing_can_win() -> None:
    stopped = [run(seed, Beam(4, 50, 0.0))[1] for seed in range(20)]
    assert max(stopped) < 50
    assert min(stopped) < 5


def test_logits_that_are_no_numbers_fail() -> None:
    with pytest.raises(ValueError, match="no token"):
        BeamSearch(Beam(2, 3), None).advance(np.full((1, 4), np.nan, np.float32))


@pytest.mark.parametrize("seed", range(5))
def test_width_one_is_greedy_through_the_whole_engine(seed: int) -> None:
    source = tokens_of(np.random.default_rng(seed).integers(0, 10, 6).tolist())
    greedy = Prompt(tokens_of([2]), Sampling(20, temperature=0), source)
    hand = ByHand(FakeTranslator())
    (one,), (other,) = hand.run(greedy, greedy._replace(strategy=Beam(1, 20)))
    assert one.tokens.tolist() == other.tokens.tolist()
    assert one.ending == other.ending
    assert one.attention is not None
    assert other.attention is not None
    np.testing.assert_allclose(one.attention, other.attention, atol=1e-6)
