"""Encoder-decoders against their equations; neither padding, neighbours nor steps may show."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from torch import Tensor

from models.decoders.transformer import TransformerTranslator
from models.decoders.translator import Past, RecurrentTranslator, Translator, TranslatorDecoder
from models.recurrent import Cell
from tests.reference import translators
from tests.reference.translators import Translated
from tests.reference.weights import Array, weights_of

NUM_SOURCE, NUM_TARGET, NUM_HEADS = 9, 7, 2
CELLS: dict[str, Cell] = {"gru": "gru", "lstm": "lstm"}
KINDS = (*CELLS, "transformer")
SEEDS = st.integers(0, 2**32 - 1)
PAIRS = st.lists(st.tuples(st.integers(1, 8), st.integers(1, 6)), min_size=1, max_size=4)
every_kind = pytest.mark.parametrize("kind", KINDS)
few = settings(max_examples=8, deadline=None)


def random_translator(kind: str, seed: int) -> Translator:
    """In double, every weight random."""
    model: Translator
    if kind == "transformer":
        model = TransformerTranslator(
            NUM_SOURCE, NUM_TARGET, hidden_size=8, num_heads=NUM_HEADS, num_layers=2
        )
    else:
        model = RecurrentTranslator(
            NUM_SOURCE, NUM_TARGET, cell=CELLS[kind], embedding_size=6, hidden_size=8, num_layers=2
        )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.double().parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(noise / parameter.shape[-1] ** 0.5)
    return model.eval()


def drawn(seed: int, sizes: list[int], num_tokens: int) -> list[list[int]]:
    """Tokens, so many each."""
    random = np.random.default_rng(seed)
    return [random.integers(0, num_tokens, size).tolist() for size in sizes]


def pad(rows: list[list[int]], extra: int = 0) -> tuple[Tensor, Tensor]:
    """(batch, time + extra), 1 past each length; and lengths."""
    lengths = torch.tensor([len(row) for row in rows])
    inputs = torch.ones(len(rows), int(lengths.max()) + extra, dtype=torch.int64)
    for row, tokens in zip(inputs, rows, strict=True):
        row[: len(tokens)] = torch.tensor(tokens)
    return inputs, lengths


def expected(kind: str, model: Translator, source: list[int], target: list[int]) -> Translated:
    """By the equations."""
    weights = weights_of(model)
    if kind == "transformer":
        return translators.transformer(NUM_HEADS, weights, source, target)
    return translators.recurrent(kind, weights, source, target)


def close(actual: Tensor, wanted: Array | Tensor) -> None:
    wanted = wanted.detach().numpy() if isinstance(wanted, Tensor) else wanted
    assert_allclose(actual.detach().numpy(), wanted, rtol=1e-9, atol=1e-9)


@every_kind
@few
@given(seed=SEEDS, pairs=PAIRS, extra=st.integers(0, 2))
def test_answers_are_those_of_the_equations(
    kind: str, seed: int, pairs: list[tuple[int, int]], extra: int
) -> None:
    model = random_translator(kind, seed)
    sources = drawn(seed, [source for source, _ in pairs], NUM_SOURCE)
    targets = drawn(seed + 1, [target for _, target in pairs], NUM_TARGET)
    inputs, lengths = pad(sources, extra)
    encoded = model.encode(inputs, lengths)
    decoded = model.decode(*pad(targets, extra), model.start(encoded), encoded.memory, lengths)
    for row, (source, target) in enumerate(zip(sources, targets, strict=True)):
        wanted = expected(kind, model, source, target)
        close(decoded.logits[row, : len(target)], wanted.logits)
        close(decoded.attention[row, : len(target), : len(source)], wanted.attention)
        assert not decoded.attention[row, :, len(source) :].any()


@every_kind
@few
@given(
    seed=SEEDS,
    pairs=PAIRS,
    chunk=st.integers(1, 3),
    rubbish=st.sampled_from([float("nan"), float("inf"), 1e30]),
)
def test_steps_in_any_company_are_the_whole(
    kind: str, seed: int, pairs: list[tuple[int, int]], chunk: int, rubbish: float
) -> None:
    """A graph is run so: ragged tokens, rubbish behind memory and cache, the last logits."""
    model = random_translator(kind, seed)
    sources = drawn(seed, [source for source, _ in pairs], NUM_SOURCE)
    targets = drawn(seed + 1, [target for _, target in pairs], NUM_TARGET)
    inputs, lengths = pad(sources)
    encoded = model.encode(inputs, lengths)
    behind = torch.arange(inputs.shape[1]) >= lengths.unsqueeze(1)
    memory = encoded.memory.masked_fill(behind.unsqueeze(2), rubbish)
    step = TranslatorDecoder(model)
    for row, (source, target) in enumerate(zip(sources, targets, strict=True)):
        wanted = expected(kind, model, source, target)
        past = _with_rubbish(model.start(encoded), rubbish)
        for start in range(0, len(target), chunk):
            part = target[start : start + chunk]
            # neighbours read other tokens, one more of them
            tokens, counts = pad([part if at == row else [3, *part] for at in range(len(sources))])
            before = (
                list(past.state.values())
                if past.cache is None
                else [past.cache, past.cache_lengths]
            )
            logits, attention, *_ = step(tokens, counts, *before, memory, lengths)
            decoded = model.decode(tokens, counts, past, memory, lengths)
            past = _after(past, decoded.state, decoded.cache, counts, rubbish)
            close(logits[row], wanted.logits[start + len(part) - 1])
            close(attention[row, : len(source)], wanted.attention[start + len(part) - 1])


def _with_rubbish(past: Past, rubbish: float) -> Past:
    """With two entries more of the cache than there are."""
    if past.cache is None:
        return past
    more = past.cache.new_full((past.cache.shape[0], 2, past.cache.shape[2]), rubbish)
    return Past({}, more, past.cache_lengths)


def _after(
    past: Past, state: dict[str, Tensor], new: Tensor | None, counts: Tensor, rubbish: float
) -> Past:
    """As a service appends: each row's new entries behind its own."""
    if new is None or past.cache is None or past.cache_lengths is None:
        return Past(state)
    longer = new.new_full((len(new), past.cache.shape[1] + new.shape[1], new.shape[2]), rubbish)
    for row in range(len(new)):
        start, count = int(past.cache_lengths[row]), int(counts[row])
        longer[row, :start] = past.cache[row, :start]
        longer[row, start : start + count] = new[row, :count]
    return Past({}, longer, past.cache_lengths + counts)


@every_kind
def test_every_weight_learns(kind: str) -> None:
    model = random_translator(kind, 0)
    sources, targets = pad([[1, 2, 3], [4, 5]]), pad([[1, 2], [3, 4]])
    model(*sources, *targets).square().sum().backward()
    without = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert not without


def test_a_width_that_heads_cannot_share_is_refused() -> None:
    with pytest.raises(ValueError, match="hidden_size 10 is not a multiple of 4"):
        TransformerTranslator(5, 5, hidden_size=10, num_heads=2)
