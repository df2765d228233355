"""Backpropagation through time, three ways: by hand, by finite differences, and truncated."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from torch import Tensor
from torch.nn.functional import cross_entropy

from models import SequenceModel
from tests.models.batches import (
    KINDS,
    NUM_CLASSES,
    STATEFUL,
    WHOLE,
    name_of,
    pad,
    random_model,
    random_sequences,
)
from tests.reference.bptt import batch_gradients
from tests.reference.weights import Weights, weights_of
from training.fit.bptt import accumulate_gradients

SEEDS = st.integers(0, 2**32 - 1)
LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=4)
ELMAN = [
    {"family": "rnn", "cell": cell, "head": head}
    for cell in ("rnn_tanh", "rnn_relu")
    for head in ("last", "per_step")
]


def losses(logits: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(logits, targets, reduction="none")


def random_targets(seed: int, kind: dict[str, str], lengths: list[int]) -> list[list[int]]:
    """A class for each answer: one a sequence, or one a step."""
    generator = np.random.default_rng(seed + 1)
    counts = lengths if kind["head"] == "per_step" else [1] * len(lengths)
    return [[int(c) for c in generator.integers(NUM_CLASSES, size=count)] for count in counts]


def gradients(
    model: SequenceModel,
    seed: int,
    kind: dict[str, str],
    lengths: list[int],
    window: int | None,
) -> tuple[float, Weights]:
    """What `accumulate_gradients` returns, and leaves behind."""
    inputs, all_lengths = pad(random_sequences(seed, lengths))
    classes = random_targets(seed, kind, lengths)
    if kind["head"] == "per_step":
        # past a length stands a class that does not exist: a loss that saw it would fail
        targets = torch.full(inputs.shape[:2], NUM_CLASSES)
        for row, steps in zip(targets, classes, strict=True):
            row[: len(steps)] = torch.tensor(steps)
    else:
        targets = torch.tensor(classes).squeeze(1)
    model.zero_grad()
    mean = accumulate_gradients(
        model, inputs, all_lengths, targets, window, losses, torch.autograd.backward
    )
    named = model.named_parameters()
    return mean, {name: p.grad.numpy().copy() for name, p in named if p.grad is not None}


def assert_same(actual: tuple[float, Weights], expected: tuple[float, Weights]) -> None:
    assert actual[0] == pytest.approx(expected[0], rel=1e-9)
    assert actual[1]
    for name, gradient in actual[1].items():
        assert_allclose(gradient, expected[1][name], rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("kind", ELMAN, ids=name_of)
@settings(max_examples=15, deadline=None)
@given(
    seed=SEEDS,
    lengths=LENGTHS,
    num_layers=st.integers(1, 3),
    window=st.none() | st.integers(1, 10),
)
def test_elman_gradients_are_those_derived_by_hand(
    kind: dict[str, str], seed: int, lengths: list[int], num_layers: int, window: int | None
) -> None:
    _, model = random_model(seed, kind, num_layers=num_layers, hidden_size=5)
    scale = model.front  # the derivation begins after it
    scale.mean.zero_()
    scale.deviation.fill_(1.0)
    actual = gradients(model, seed, kind, lengths, window)
    assert actual[1].keys() == dict(model.named_parameters()).keys()
    expected = batch_gradients(
        weights_of(model),
        kind["cell"],
        random_sequences(seed, lengths),
        random_targets(seed, kind, lengths),
        window,
    )
    assert_same(actual, expected)


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_gradients_are_those_of_finite_differences(kind: dict[str, str]) -> None:
    _, model = random_model(3, kind, num_layers=2, hidden_size=4)
    inputs, lengths = pad(random_sequences(3, [4, 2]))
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def answers(inputs: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
        # gradcheck moves the parameters in place, so the model sees it
        prediction = model(inputs, lengths)
        weights = () if prediction.weights is None else (prediction.weights,)
        return prediction.logits, *prediction.state.values(), *weights

    assert torch.autograd.gradcheck(
        answers, (inputs.requires_grad_(), *learned), fast_mode=True, atol=1e-6
    )


@pytest.mark.parametrize("kind", STATEFUL, ids=name_of)
@settings(max_examples=5, deadline=None)
@given(seed=SEEDS, lengths=LENGTHS, more=st.integers(0, 3), num_layers=st.integers(1, 2))
def test_a_window_over_the_whole_sequence_truncates_nothing(
    kind: dict[str, str], seed: int, lengths: list[int], more: int, num_layers: int
) -> None:
    _, model = random_model(seed, kind, num_layers=num_layers)
    full = gradients(model, seed, kind, lengths, None)
    windowed = gradients(model, seed, kind, lengths, max(lengths) + more)
    assert full[1].keys() == {n for n, p in model.named_parameters() if p.requires_grad}
    assert_same(windowed, full)


@pytest.mark.parametrize("kind", STATEFUL, ids=name_of)
def test_a_short_window_keeps_the_loss_and_cuts_the_gradient(kind: dict[str, str]) -> None:
    _, model = random_model(4, kind)
    lengths = [7, 3, 1, 6]
    full, cut = (gradients(model, 4, kind, lengths, window) for window in (None, 2))
    assert cut[0] == pytest.approx(full[0], rel=1e-9)
    name = "encoder.layers.0.weight_hh_l0"
    assert np.abs(cut[1][name] - full[1][name]).max() > 1e-4


@pytest.mark.parametrize(("head", "calls"), [("last", 3), ("per_step", 4)])
def test_backward_is_called_for_each_window_that_answers(head: str, calls: int) -> None:
    # rows end in windows 1, 3 and 4 of two steps: the last state answers thrice, each step always
    _, model = random_model(5, {"family": "gru", "head": head})
    inputs, lengths = pad(random_sequences(5, [8, 2, 5, 8]))
    targets = torch.zeros(inputs.shape[:2] if head == "per_step" else (4,), dtype=torch.int64)
    seen: list[float] = []
    mean = accumulate_gradients(
        model, inputs, lengths, targets, 2, losses, lambda loss: seen.append(float(loss.detach()))
    )
    assert len(seen) == calls
    assert sum(seen) == pytest.approx(mean)


@pytest.mark.parametrize("kind", WHOLE, ids=name_of)
def test_a_family_without_state_refuses_a_window(kind: dict[str, str]) -> None:
    _, model = random_model(6, kind)
    with pytest.raises(ValueError, match="whole sequences"):
        gradients(model, 6, kind, [3, 2], 5)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert gradients(model, 6, kind, [3, 2], None)[1]


def test_a_window_of_no_steps_is_refused() -> None:
    kind = {"family": "rnn", "head": "last"}
    with pytest.raises(ValueError, match="window is 0"):
        gradients(random_model(7, kind)[1], 7, kind, [3], 0)


class Distributed(torch.nn.Module):
    """As torch's DistributedDataParallel looks from outside: `no_sync`, and no `state_shapes`."""

    def __init__(self, model: SequenceModel) -> None:
        super().__init__()
        self.module = model
        self.exchanging = True
        self.exchanges: list[bool] = []

    def forward(self, *arguments: Tensor) -> object:
        self.exchanges.append(self.exchanging)
        return self.module(*arguments)

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        self.exchanging = False
        yield
        self.exchanging = True


def test_processes_exchange_gradients_once_whatever_the_number_of_windows() -> None:
    _, model = random_model(8, {"family": "lstm", "head": "last"})
    wrapped = Distributed(model)
    inputs, lengths = pad(random_sequences(8, [7, 3]))
    accumulate_gradients(
        cast(SequenceModel, wrapped),
        inputs,
        lengths,
        torch.zeros(2, dtype=torch.int64),
        2,
        losses,
        torch.autograd.backward,
    )
    assert wrapped.exchanges == [False, False, False, True]
