"""A forecaster against its equations, in NumPy; and a batch without padding against one with."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.forecasting import Forecaster
from tests.models.batches import (
    NUM_FEATURES,
    STATEFUL_FAMILIES,
    pad,
    random_model,
    random_sequences,
)
from tests.reference.heads import answer
from tests.reference.weights import weights_of

USUAL = 1
SCALE = 3.0
FAMILIES = ("rnn", "gru", "birnn", "transformer", "hybrid")


def make(family: str) -> tuple[Forecaster, object]:
    architecture, model = random_model(0, {"family": family, "head": "per_step"})
    forecaster = Forecaster(model, USUAL).double().eval()
    forecaster.scale.fill_(SCALE)
    return forecaster, architecture


@pytest.mark.parametrize("family", FAMILIES)
def test_a_forecast_is_what_the_equations_say(family: str) -> None:
    forecaster, architecture = make(family)
    sequences = random_sequences(1, [6, 3, 5])
    inputs, lengths = pad(sequences)
    inputs[1, 3:] = torch.nan  # rubbish in the padding
    with torch.no_grad():
        found = forecaster(inputs, lengths).logits.numpy()
    for row, sequence in enumerate(sequences):
        raw = answer(architecture, weights_of(forecaster), sequence).logits  # type: ignore[arg-type]
        gaps = np.log1p(np.exp(raw[:, 2:]))
        quantiles = np.concatenate([raw[:, 1:2], gaps], axis=1).cumsum(axis=1)
        scaled = SCALE * np.concatenate([raw[:, :1], quantiles], axis=1)
        expected = sequence[:, USUAL : USUAL + 1] + scaled
        np.testing.assert_allclose(found[row, : len(sequence)], expected, rtol=1e-9, atol=1e-9)
        assert (found[row, len(sequence) :] == 0).all()
        assert (np.diff(found[row, : len(sequence), 1:], axis=1) > 0).all()


@pytest.mark.parametrize("family", STATEFUL_FAMILIES)
def test_in_chunks_it_forecasts_as_at_once(family: str) -> None:
    forecaster, _ = make(family)
    inputs, _ = pad(random_sequences(2, [7, 7]))
    with torch.no_grad():
        whole = forecaster(inputs, torch.tensor([7, 7])).logits
        first = forecaster(inputs[:, :4], torch.tensor([4, 4]))
        rest = forecaster(inputs[:, 4:], torch.tensor([3, 3]), first.state)
    torch.testing.assert_close(torch.cat([first.logits, rest.logits], dim=1), whole)


@pytest.mark.parametrize("family", ["rnn", "lstm", "gru", "birnn", "hybrid"])
def test_a_batch_without_padding_answers_as_with_it(family: str) -> None:
    _, model = random_model(0, {"family": family, "head": "per_step"}, num_layers=2)
    inputs, lengths = pad(random_sequences(3, [5, 5]))
    longer = torch.cat([inputs, torch.ones(2, 2, NUM_FEATURES, dtype=inputs.dtype)], dim=1)
    with torch.no_grad():
        whole, padded = model(inputs, lengths), model(longer, lengths)
    torch.testing.assert_close(padded.logits[:, :5], whole.logits)
    for name, state in whole.state.items():
        torch.testing.assert_close(padded.state[name], state)


def test_another_head_is_refused() -> None:
    _, model = random_model(0, {"family": "gru", "head": "last"})
    with pytest.raises(ValueError, match="head per_step"):
        Forecaster(model, USUAL)
