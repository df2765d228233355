"""The conditional random field against the enumeration of every tagging; what is forbidden."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from models.tagging.crf import ConditionalRandomField
from tests.reference.crf import enumerate_all, score

NUM_TAGS = 3


def random_field(seed: int) -> ConditionalRandomField:
    generator = torch.Generator().manual_seed(seed)
    field = ConditionalRandomField(NUM_TAGS).double()
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.normal_(generator=generator)
    return field


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_the_loss_is_that_of_the_enumeration(seed: int, lengths: list[int]) -> None:
    field = random_field(seed)
    between, start, end = (part.detach().numpy() for part in field.transitions())
    random = np.random.default_rng(seed)
    emissions = random.normal(size=(len(lengths), max(lengths), NUM_TAGS))
    tags = random.integers(0, NUM_TAGS, (len(lengths), max(lengths)))
    for row, length in enumerate(lengths):
        emissions[row, length:], tags[row, length:] = np.nan, -1  # rubbish
    given_tensors = [torch.from_numpy(part) for part in (emissions, tags, np.array(lengths))]
    losses = field(*given_tensors).detach().numpy()
    for row, length in enumerate(lengths):
        own = emissions[row, :length]
        chosen = tuple(tags[row, :length].tolist())
        log_z = enumerate_all(own, between, start, end).log_z
        expected = log_z - score(own, between, start, end, chosen)
        assert_allclose(losses[row], expected, rtol=1e-9, atol=1e-9)


def test_rubbish_past_a_length_does_not_reach_gradients() -> None:
    gradients = []
    for rubbish in (0.0, float("nan")):
        field = random_field(1)
        emissions = torch.ones(2, 4, NUM_TAGS, dtype=torch.float64)
        emissions[1, 2:] = rubbish
        emissions.requires_grad_()
        tags = torch.tensor([[0, 1, 2, 0], [2, 1, 0, 0]])
        field(emissions, tags, torch.tensor([4, 2])).sum().backward()
        assert emissions.grad is not None
        parts = [emissions.grad, *(parameter.grad for parameter in field.parameters())]
        gradients.append([part.numpy() for part in parts if part is not None])
    assert len(gradients[0]) == 4
    for clean, dirty in zip(*gradients, strict=True):
        assert_allclose(dirty, clean)


def test_gradients_are_those_of_finite_differences() -> None:
    field = random_field(2)
    emissions = torch.randn(2, 3, NUM_TAGS, dtype=torch.float64, requires_grad=True)
    tags, lengths = torch.tensor([[0, 2, 1], [1, 0, 0]]), torch.tensor([3, 1])
    assert torch.autograd.gradcheck(lambda given: field(given, tags, lengths), (emissions,))


def test_what_is_forbidden_has_no_probability() -> None:
    between = torch.zeros(NUM_TAGS, NUM_TAGS, dtype=torch.bool)
    between[0, 2] = True
    field = ConditionalRandomField(NUM_TAGS)
    field.forbid(between, torch.tensor([False, False, True]))
    field = field.double()
    emissions = torch.zeros(1, 2, NUM_TAGS, dtype=torch.float64)
    lengths = torch.tensor([2])
    pairs = list(itertools.product(range(NUM_TAGS), repeat=2))
    losses = field(
        emissions.expand(len(pairs), -1, -1), torch.tensor(pairs), lengths.expand(len(pairs))
    )
    probabilities = dict(zip(pairs, torch.exp(-losses).tolist(), strict=True))
    assert probabilities[0, 2] == 0
    assert probabilities[2, 0] == 0
    possible = [value for pair, value in probabilities.items() if pair[0] != 2 and pair != (0, 2)]
    assert_allclose(possible, [1 / len(possible)] * len(possible))
