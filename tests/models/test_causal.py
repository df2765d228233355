"""The causal Transformer against its equations; in chunks with its cache = the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.decoders.causal import CausalTransformer
from models.sequence import State
from tests.models.test_against_reference import LENGTHS, SEEDS, close
from tests.reference.causal import logits
from tests.reference.weights import weights_of

NUM_TOKENS, NUM_HEADS, WINDOW = 7, 2, 5


def random_model(seed: int) -> CausalTransformer:
    """In double, every weight random."""
    model = CausalTransformer(NUM_TOKENS, 12, NUM_HEADS, 2, WINDOW, reach=2)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise / parameter.shape[-1] ** 0.5)
    return model.double().eval()


def random_texts(seed: int, lengths: list[int]) -> list[list[int]]:
    generator = np.random.default_rng(seed)
    return [generator.integers(0, NUM_TOKENS, length).tolist() for length in lengths]


def padded(texts: list[list[int]], extra: int = 0) -> tuple[Tensor, Tensor]:
    lengths = [len(text) for text in texts]
    inputs = torch.full((len(texts), max(lengths) + extra), NUM_TOKENS - 1)
    for row, text in zip(inputs, texts, strict=True):
        row[: len(text)] = torch.tensor(text)
    return inputs, torch.tensor(lengths)


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS, lengths=LENGTHS)
def test_logits_are_those_of_the_equations(seed: int, lengths: list[int]) -> None:
    model = random_model(seed)
    texts = random_texts(seed, lengths)
    found = model(*padded(texts)).logits
    for row, text in enumerate(texts):
        close(found[row, : len(text)], logits(weights_of(model), NUM_HEADS, WINDOW, text))


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, lengths=LENGTHS, data=st.data())
def test_any_chunks_are_the_whole(seed: int, lengths: list[int], data: st.DataObject) -> None:
    """Rows of any lengths, in chunks of any sizes, some longer than the window."""
    model = random_model(seed)
    texts = random_texts(seed, lengths)
    whole = model(*padded(texts, extra=1)).logits
    done = [0] * len(texts)
    state: State | None = None
    while any(at < len(text) for at, text in zip(done, texts, strict=True)):
        parts = []  # a row that has ended goes on with rubbish
        for at, text in zip(done, texts, strict=True):
            size = data.draw(st.integers(1, 7))
            parts.append(text[at : at + size] or [0] * size)
        prediction = model(*padded(parts), state)
        state = prediction.state
        for row, part in enumerate(parts):
            if done[row] < lengths[row]:
                close(prediction.logits[row, : len(part)], whole[row, done[row] :][: len(part)])
            done[row] += len(part)


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, rubbish=st.sampled_from([-1e4, 0.0, 1e4]))
def test_rubbish_past_the_entries_of_a_cache_does_not_show(seed: int, rubbish: float) -> None:
    model = random_model(seed)
    inputs, lengths = padded(random_texts(seed, [3, 1]))
    state = model(*padded(random_texts(seed + 1, [2, 4]))).state
    spoilt = state["cache"].clone()
    spoilt[0, 2:] = rubbish
    spoilt = torch.cat([spoilt, torch.full_like(spoilt[:, :3], rubbish)], dim=1)
    found = model(inputs, lengths, {**state, "cache": spoilt})
    close(found.logits, model(inputs, lengths, state).logits)


def test_a_cache_never_outgrows_the_window() -> None:
    state = random_model(0)(*padded(random_texts(0, [40, 3]))).state
    assert state["cache"].shape[1] == WINDOW - 1
    assert state["cache_lengths"].tolist() == [WINDOW - 1, 3]


def test_a_new_one_says_the_same_after_any_text() -> None:
    model = CausalTransformer(NUM_TOKENS, 8, 2, 1, WINDOW)
    found = model(*padded([[1, 2, 3], [3, 3, 1]])).logits
    close(found, found[0, 0].expand_as(found))


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="even number"):
        CausalTransformer(NUM_TOKENS, 6, 2, 1, WINDOW)
    with pytest.raises(ValueError, match="window 3"):
        CausalTransformer(NUM_TOKENS, 8, 2, 1, 3)


def test_gradients_reach_every_weight() -> None:
    model = random_model(3).train()
    model(*padded(random_texts(3, [6, 6]))).logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
