"""CTC decoding against its definition: every path of small cases, listed."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from service.tasks.transcription.ctc import (
    Labels,
    Logs,
    align,
    beam_search,
    greedy,
    log_likelihood,
    log_softmax,
)

BLANK = 2
NUM_CLASSES = 3
ENOUGH = 1_000
"""A beam that drops nothing: more prefixes than the small cases have."""


def said(path: tuple[int, ...]) -> Labels:
    """B(path): repetitions out, then blanks."""
    return tuple(label for label, _ in itertools.groupby(path) if label != BLANK)


def likelihoods(logs: Logs) -> dict[Labels, float]:
    """p(l) of every labelling, over all paths."""
    found: dict[Labels, float] = defaultdict(float)
    for path in itertools.product(range(NUM_CLASSES), repeat=len(logs)):
        found[said(path)] += float(np.exp(logs[np.arange(len(logs)), path].sum()))
    return dict(found)


def made(num_steps: int, seed: int, scale: float = 2.0) -> Logs:
    logits = np.random.default_rng(seed).normal(0, scale, (num_steps, NUM_CLASSES))
    return log_softmax(logits.astype(np.float32))


small = st.builds(made, st.integers(1, 6), st.integers(0, 10_000), st.sampled_from([0.1, 1, 4]))


@settings(deadline=None, max_examples=60)
@given(small)
def test_a_wide_beam_lists_every_labelling_with_its_likelihood(logs: Logs) -> None:
    expected = likelihoods(logs)
    found = beam_search(logs, ENOUGH, BLANK)
    assert {item.labels for item in found} == set(expected)
    for item in found:
        assert np.exp(item.log_probability) == pytest.approx(expected[item.labels], rel=1e-9)
    worth = [item.log_probability for item in found]
    assert worth == sorted(worth, reverse=True)


@settings(deadline=None, max_examples=60)
@given(small)
def test_log_likelihood_sums_the_paths(logs: Logs) -> None:
    for labels, probability in likelihoods(logs).items():
        assert log_likelihood(logs, labels, BLANK) == pytest.approx(np.log(probability), abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.lists(st.integers(0, 1), max_size=12), st.integers(0, 1_000))
def test_log_likelihood_is_what_training_minimises(
    num_steps: int, labels: list[int], seed: int
) -> None:
    logs = made(num_steps, seed)
    loss = torch.nn.functional.ctc_loss(
        torch.from_numpy(logs),
        torch.tensor([labels], dtype=torch.long),
        torch.tensor([num_steps]),
        torch.tensor([len(labels)]),
        blank=BLANK,
        reduction="sum",
    )
    assert log_likelihood(logs, tuple(labels), BLANK) == pytest.approx(-float(loss), rel=1e-9)


def test_what_no_path_is_long_enough_to_say_is_impossible() -> None:
    logs = made(3, 0)
    assert log_likelihood(logs, (0, 1, 0, 1), BLANK) == -np.inf
    assert log_likelihood(logs, (0, 0, 1), BLANK) == -np.inf  # needs a blank between
    with pytest.raises(ValueError, match="no path of 3 steps says 3 labels"):
        align(logs, (0, 0, 1), BLANK)


@settings(deadline=None, max_examples=60)
@given(small, st.integers(1, 8))
def test_a_narrow_beam_claims_no_more_than_there_is(logs: Logs, width: int) -> None:
    expected = likelihoods(logs)
    found = beam_search(logs, width, BLANK)
    assert 1 <= len(found) <= width
    assert len({item.labels for item in found}) == len(found)  # no prefix twice
    for item in found:
        assert np.exp(item.log_probability) <= expected[item.labels] * (1 + 1e-9)


@settings(deadline=None, max_examples=60)
@given(small)
def test_greedy_says_what_the_likeliest_path_says(logs: Logs) -> None:
    paths = itertools.product(range(NUM_CLASSES), repeat=len(logs))
    best = max(paths, key=lambda path: logs[np.arange(len(logs)), path].sum())
    assert greedy(logs, BLANK) == said(best)


@settings(deadline=None, max_examples=60)
@given(small)
def test_spans_are_those_of_the_likeliest_path_that_says_the_labels(logs: Logs) -> None:
    best: dict[Labels, tuple[float, tuple[int, ...]]] = {}
    for path in itertools.product(range(NUM_CLASSES), repeat=len(logs)):
        worth = float(logs[np.arange(len(logs)), path].sum())
        labels = said(path)
        if labels not in best or worth > best[labels][0]:
            best[labels] = (worth, path)
    for labels, (worth, _) in best.items():
        spans = align(logs, labels, BLANK)
        rebuilt = np.full(len(logs), BLANK)
        for label, (start, end) in zip(labels, spans, strict=True):
            assert start < end
            rebuilt[start:end] = label
        assert said(tuple(rebuilt.tolist())) == labels
        assert logs[np.arange(len(logs)), rebuilt].sum() == pytest.approx(worth, abs=1e-9)


def test_the_beam_finds_what_greedy_misses() -> None:
    # blank is likeliest at both steps, but the paths that say 0 are likelier together
    logs = np.log(np.array([[0.4, 1e-9, 0.6], [0.4, 1e-9, 0.6]]))
    assert greedy(logs, BLANK) == ()
    (best, *_) = beam_search(logs, 8, BLANK)
    assert best.labels == (0,)
    assert np.exp(best.log_probability) == pytest.approx(0.4 * 0.4 + 2 * 0.4 * 0.6)


@pytest.mark.parametrize("width", [1, 10])
def test_a_clear_answer_is_found_by_all(width: int) -> None:
    path = [2, 0, 0, 2, 0, 1, 1, 1, 2]
    logs = log_softmax(10 * np.eye(NUM_CLASSES, dtype=np.float32)[path])
    assert greedy(logs, BLANK) == (0, 0, 1)
    assert beam_search(logs, width, BLANK)[0].labels == (0, 0, 1)
    assert align(logs, (0, 0, 1), BLANK) == [(1, 3), (4, 5), (5, 8)]


def test_long_sequences_do_not_underflow() -> None:
    logs = made(800, 5)
    best = beam_search(logs, 5, BLANK)[0]
    assert -np.inf < best.log_probability <= log_likelihood(logs, best.labels, BLANK) + 1e-6
    assert len(align(logs, best.labels, BLANK)) == len(best.labels)


def test_probabilities_sum_to_one_whatever_the_logits() -> None:
    logits = np.array([[3e38, -3e38, 0.0], [5.0, 5.0, 5.0]], dtype=np.float32)
    np.testing.assert_allclose(np.exp(log_softmax(logits)).sum(axis=1), 1.0)
