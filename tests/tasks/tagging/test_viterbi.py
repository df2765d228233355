"""Viterbi and forward-backward against the enumeration of every tagging, and against torch."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from models.tagging.crf import ConditionalRandomField
from service.errors import BundleError
from service.tasks.tagging.viterbi import Transitions, marginals, viterbi
from tests.reference.crf import enumerate_all

LENGTHS = st.lists(st.integers(1, 5), min_size=1, max_size=4)
several = settings(max_examples=40, deadline=None)


def random_problem(
    seed: int, lengths: list[int], num_tags: int, extra: int = 0
) -> tuple[np.ndarray, np.ndarray, Transitions]:
    """Emissions with rubbish past each length, lengths, and transitions of like size."""
    random = np.random.default_rng(seed)
    emissions = random.normal(0, 2, (len(lengths), max(lengths) + extra, num_tags))
    for row, length in zip(emissions, lengths, strict=True):
        row[length:] = random.choice([1e30, -1e30, 0.0])
    transitions = Transitions(
        random.normal(0, 2, (num_tags, num_tags)),
        random.normal(0, 2, num_tags),
        random.normal(0, 2, num_tags),
    )
    return emissions, np.array(lengths), transitions


@several
@given(st.integers(0, 2**32 - 1), LENGTHS, st.integers(1, 4), st.integers(0, 2))
def test_the_best_tags_and_all_probabilities_are_those_of_the_enumeration(
    seed: int, lengths: list[int], num_tags: int, extra: int
) -> None:
    emissions, sizes, transitions = random_problem(seed, lengths, num_tags, extra)
    tags, scores = viterbi(emissions, sizes, transitions)
    probabilities, log_z = marginals(emissions, sizes, transitions)
    for row, length in enumerate(lengths):
        expected = enumerate_all(emissions[row, :length], *transitions)
        assert tuple(tags[row, :length]) == expected.tags
        assert not tags[row, length:].any()
        assert not probabilities[row, length:].any()
        assert_allclose(scores[row], expected.score, rtol=1e-9)
        assert_allclose(log_z[row], expected.log_z, rtol=1e-9)
        assert_allclose(probabilities[row, :length], expected.marginals, atol=1e-9)


@several
@given(st.integers(0, 2**32 - 1), LENGTHS, st.integers(2, 4))
def test_the_loss_of_training_is_the_probability_of_serving(
    seed: int, lengths: list[int], num_tags: int
) -> None:
    emissions, sizes, transitions = random_problem(seed, lengths, num_tags)
    field = ConditionalRandomField(num_tags).double()
    with torch.no_grad():
        for parameter, value in zip(field.parameters(), transitions, strict=True):
            parameter.copy_(torch.from_numpy(value))
    tags, scores = viterbi(emissions, sizes, transitions)
    _, log_z = marginals(emissions, sizes, transitions)
    given_tensors = [torch.from_numpy(part) for part in (emissions, tags, sizes)]
    loss = field(*given_tensors).detach().numpy()
    assert_allclose(loss, log_z - scores, rtol=1e-9, atol=1e-9)


def test_without_transitions_each_step_stands_alone() -> None:
    emissions, sizes, _ = random_problem(3, [4, 1, 2], 5)
    tags, _ = viterbi(emissions, sizes, Transitions.none(5))
    probabilities, _ = marginals(emissions, sizes, Transitions.none(5))
    for row, length in enumerate(sizes):
        own = emissions[row, :length]
        assert np.array_equal(tags[row, :length], own.argmax(axis=1))
        exponentials = np.exp(own)
        expected = exponentials / exponentials.sum(axis=1, keepdims=True)
        assert_allclose(probabilities[row, :length], expected, rtol=1e-9)


def test_transitions_come_back_from_their_file() -> None:
    _, _, transitions = random_problem(0, [1], 3)
    read = Transitions.from_bytes(transitions.to_bytes(), 3)
    for part, expected in zip(read, transitions, strict=True):
        assert_allclose(part, expected, rtol=1e-6)


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


GOOD = {"between": np.zeros((2, 2)), "start": np.zeros(2), "end": np.zeros(2)}
BAD_FILES = {
    "empty": (b"", "can't be read"),
    "text": (b"0 0 0", "can't be read"),
    "cut short": (npz(**GOOD)[:40], "can't be read"),
    "one array missing": (npz(between=GOOD["between"], start=GOOD["start"]), "can't be read"),
    "other tags": (npz(**{**GOOD, "end": np.zeros(3)}), "there are 2 tags"),
    "not finite": (npz(**{**GOOD, "end": np.array([0, np.nan])}), "finite"),
    "words": (npz(**{**GOOD, "end": np.array(["a", "b"])}), "can't be read"),
}


@pytest.mark.parametrize("which", BAD_FILES)
def test_another_file_is_refused(which: str) -> None:
    content, words = BAD_FILES[which]
    with pytest.raises(BundleError, match=words):
        Transitions.from_bytes(content, 2)
