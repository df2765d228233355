"""Sequence to sequence: what to learn from, and how a model translates while it trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.decoders.translator import PADDING, Past, Translator
from service.decoding.beam import BeamSearch
from service.decoding.prompt import Beam, Generated
from service.tasks.translation.vocabulary import BEGIN, END
from training.data.batches import Row
from training.fit.objective import Objective, Validation

Tokens = NDArray[np.int64]

MAX_ROWS = 512
"""Of a batch that is translated."""


class Example(NamedTuple):
    """Tokens of a source and of a target, each (length,), without begin and end."""

    source: Tokens
    target: Tokens


class TranslationObjective(Objective):
    """Cross-entropy of each target token after the right ones before it.

    Args:
        learnt: What is learnt from.
        validation: What the loss is measured on.
        label_smoothing: Share of each target token's weight that all tokens have alike.
        score: How good a model translates the validation part; the higher, the better.
    """

    def __init__(
        self,
        learnt: list[Example],
        validation: list[Example],
        label_smoothing: float,
        score: Callable[[Translator], float],
    ) -> None:
        self.learnt = learnt
        self.validation = validation
        self.label_smoothing = label_smoothing
        self.score = score

    @property
    def lengths(self) -> Sequence[int]:
        """Of the sources first: a recurrent encoder is faster where they are all alike."""
        longest = max(len(target) for _, target in self.learnt) + 1
        return [len(source) * longest + len(target) for source, target in self.learnt]

    def example(self, row: Row) -> Example:
        """As it is."""
        return self.learnt[row.sequence]

    def collate(self, examples: list[Example]) -> tuple[Tensor, ...]:
        """Sources (batch, source), their lengths (batch,), targets as read and as asked for."""
        sources, lengths = pad([source for source, _ in examples])
        read, _ = pad([np.array([BEGIN, *target]) for _, target in examples])
        asked, _ = pad([np.array([*target, END]) for _, target in examples])
        return sources, lengths, read, asked

    def learn(
        self, model: nn.Module, batch: tuple[Tensor, ...], backward: Callable[[Tensor], None]
    ) -> float:
        """The mean over all tokens of the batch."""
        loss = _loss(model, batch, self.label_smoothing)
        backward(loss)
        return loss.item()

    def validate(self, model: nn.Module) -> Validation:
        """The score of its translations, and the loss."""
        assert isinstance(model, Translator)
        was_training = model.training
        model.eval()
        batches = (
            self.collate(self.validation[start : start + MAX_ROWS])
            for start in range(0, len(self.validation), MAX_ROWS)
        )
        with torch.inference_mode():
            losses = [_loss(model, batch, 0.0).item() for batch in batches]
        score = self.score(model)
        model.train(was_training)
        return Validation(score, float(np.mean(losses)))


def _loss(model: nn.Module, batch: tuple[Tensor, ...], label_smoothing: float) -> Tensor:
    sources, source_lengths, read, asked = batch
    # all of one length: what lies past a target's end is not asked for, and nothing before sees it
    lengths = torch.full_like(source_lengths, read.shape[1])
    logits = model(sources, source_lengths, read, lengths)
    return functional.cross_entropy(
        logits.flatten(0, 1),
        asked.flatten(),
        ignore_index=PADDING,
        label_smoothing=label_smoothing,
    )


def pad(sequences: Sequence[Tokens]) -> tuple[Tensor, Tensor]:
    """Stack (time_i,) into int64 (batch, time), padded with `PADDING`; and lengths (batch,)."""
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    inputs = torch.full((len(sequences), int(lengths.max())), PADDING)
    for row, sequence in enumerate(sequences):
        inputs[row, : len(sequence)] = torch.from_numpy(sequence)
    return inputs, lengths


def translate(
    model: Translator, sources: Sequence[Tokens], beam: Beam, forbidden: Sequence[int]
) -> list[Generated]:
    """The best translation of each source, by the search that the service makes.

    Args:
        model: In evaluation mode.
        sources: Each (length,), one token at least.
        beam: How to search.
        forbidden: Tokens that are never chosen.
    """
    found: dict[int, Generated] = {}
    order = sorted(range(len(sources)), key=lambda index: len(sources[index]))
    size = max(1, MAX_ROWS // beam.width)
    for start in range(0, len(order), size):
        part = order[start : start + size]
        translated = _translate_batch(model, [sources[index] for index in part], beam, forbidden)
        found.update(zip(part, translated, strict=True))
    return [found[index] for index in range(len(sources))]


@torch.inference_mode()
def _translate_batch(
    model: Translator, sources: list[Tokens], beam: Beam, forbidden: Sequence[int]
) -> list[Generated]:
    inputs, lengths = pad(sources)
    encoded = model.encode(inputs, lengths)
    memory, past = encoded.memory, model.start(encoded)
    searches = [BeamSearch(beam, END) for _ in sources]
    live = list(enumerate(searches))
    tokens = torch.full((len(sources), 1), BEGIN)
    while True:
        steps = torch.ones(len(tokens), dtype=torch.int64)
        decoded = model.decode(tokens, steps, past, memory, lengths)
        logits = decoded.logits[:, -1].numpy().copy()
        logits[:, list(forbidden)] = -np.inf
        attention = decoded.attention[:, -1].numpy()
        start, rows = 0, []
        for index, search in live:
            stop = start + len(search.tokens)
            width = len(sources[index])
            search.advance(logits[start:stop], attention[start:stop, :width])
            rows.extend((start + search.parents).tolist())
            start = stop
        live = [(index, search) for index, search in live if not search.is_done]
        if not live:
            return [search.results()[0] for search in searches]
        kept = torch.tensor(rows)
        tokens = torch.from_numpy(np.concatenate([search.tokens for _, search in live])[:, None])
        memory, lengths = memory[kept], lengths[kept]
        if decoded.cache is None:
            past = Past({name: value[kept] for name, value in decoded.state.items()})
        else:
            assert past.cache is not None
            assert past.cache_lengths is not None
            cache = torch.cat([past.cache, decoded.cache], dim=1)
            past = Past({}, cache[kept], past.cache_lengths[kept] + 1)
