"""Every family against its equations; padding, order and chunks must not show in the answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from torch import Tensor

from models import FAMILIES, SequenceModel, State
from tests.models.batches import KINDS, STATEFUL, name_of, pad, random_model, random_sequences
from tests.reference.heads import answer
from tests.reference.weights import Array, weights_of

SEEDS = st.integers(0, 2**32 - 1)
LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=4)
every_kind = pytest.mark.parametrize("kind", KINDS, ids=name_of)
few = settings(max_examples=4, deadline=None)


def close(actual: Tensor, expected: Tensor | Array) -> None:
    wanted = expected.detach().numpy() if isinstance(expected, Tensor) else expected
    assert_allclose(actual.detach().numpy(), wanted, rtol=1e-9, atol=1e-9)


@every_kind
@few
@given(
    seed=SEEDS,
    lengths=LENGTHS,
    num_layers=st.integers(1, 3),
    hidden_size=st.sampled_from([4, 8, 12]),
    num_heads=st.sampled_from([1, 2, 4]),
)
def test_answers_are_those_of_the_equations(
    kind: dict[str, str],
    seed: int,
    lengths: list[int],
    num_layers: int,
    hidden_size: int,
    num_heads: int,
) -> None:
    architecture, model = random_model(
        seed, kind, num_layers=num_layers, hidden_size=hidden_size, num_heads=num_heads
    )
    weights = weights_of(model)
    sequences = random_sequences(seed, lengths)
    prediction = model(*pad(sequences))
    for row, sequence in enumerate(sequences):
        expected = answer(architecture, weights, sequence)
        logits = prediction.logits[row]
        if architecture.head == "per_step":
            assert not logits[len(sequence) :].any()
            logits = logits[: len(sequence)]
        close(logits, expected.logits)
        assert (prediction.weights is None) == (expected.weights is None)
        if prediction.weights is not None and expected.weights is not None:
            close(prediction.weights[row, : len(sequence)], expected.weights)
            assert not prediction.weights[row, len(sequence) :].any()
            close(prediction.weights[row].sum(), np.ones(()))
        for name, value in expected.state.items():
            close(prediction.state[name][row], value)


def test_answering_attention_is_never_without_weights() -> None:
    with_weights = {
        name_of(kind)
        for kind in KINDS
        if random_model(0, kind)[1](*pad(random_sequences(0, [2]))).weights is not None
    }
    assert with_weights == {
        name_of(kind)
        for kind in KINDS
        if kind["family"] in ("transformer", "hybrid") or kind["head"] == "attention"
    }


@every_kind
@few
@given(
    seed=SEEDS,
    lengths=LENGTHS,
    rubbish=st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e30]),
    extra=st.integers(0, 3),
)
def test_neither_padding_nor_neighbours_show(
    kind: dict[str, str], seed: int, lengths: list[int], rubbish: float, extra: int
) -> None:
    _, model = random_model(seed, kind)
    sequences = random_sequences(seed, lengths)
    together = model(*pad(sequences, rubbish, extra))
    for row, sequence in enumerate(sequences):
        alone = model(*pad([sequence]))
        logits = together.logits[row]
        close(logits[: len(sequence)] if kind["head"] == "per_step" else logits, alone.logits[0])
        for name, value in alone.state.items():
            close(together.state[name][row], value[0])
        if alone.weights is not None:
            close(together.weights[row, : len(sequence)], alone.weights[0])


@every_kind
def test_rubbish_in_the_padding_does_not_reach_gradients(kind: dict[str, str]) -> None:
    _, model = random_model(1, kind)
    gradients = []
    for rubbish in (0.0, float("nan")):
        model.zero_grad()
        model(*pad(random_sequences(1, [5, 2]), rubbish)).logits.sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert gradients[0]
    for clean, dirty in zip(*gradients, strict=True):
        close(dirty, clean)


@pytest.mark.parametrize("kind", STATEFUL, ids=name_of)
@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, lengths=LENGTHS, chunk=st.integers(1, 6), num_layers=st.integers(1, 3))
def test_chunks_with_state_are_the_whole(
    kind: dict[str, str], seed: int, lengths: list[int], chunk: int, num_layers: int
) -> None:
    _, model = random_model(seed, kind, num_layers=num_layers)
    inputs, all_lengths = pad(random_sequences(seed, lengths))
    whole = model(inputs, all_lengths)
    for row, length in enumerate(lengths):
        logits, state = _in_chunks(model, inputs[row : row + 1, :length], chunk)
        if kind["head"] == "per_step":
            close(logits, whole.logits[row, :length])
        else:
            close(logits[-1], whole.logits[row])
        assert state.keys() == whole.state.keys()
        for name, value in state.items():
            close(value[0], whole.state[name][row])


def _in_chunks(model: SequenceModel, inputs: Tensor, chunk: int) -> tuple[Tensor, State]:
    """Logits of all chunks of one sequence (1, time, features), joined, and the last state."""
    state: State | None = None
    logits = []
    for part in torch.split(inputs, chunk, dim=1):
        # a longer neighbour with nonsense in it, and padding: neither may leak into this row
        batch = torch.full((2, part.shape[1] + 1, part.shape[2]), 1e30).double()
        batch[0, : part.shape[1]] = part[0]
        batch[1] = 7.0
        both = torch.tensor([part.shape[1], part.shape[1] + 1])
        prediction = model(batch, both, state)
        state = prediction.state
        answers = prediction.logits[0]
        logits.append(answers[: part.shape[1]] if answers.dim() == 2 else answers.unsqueeze(0))
    assert state is not None
    return torch.cat(logits), {name: value[:1] for name, value in state.items()}


def test_every_family_is_compared() -> None:
    assert {kind["family"] for kind in KINDS} == set(FAMILIES)
