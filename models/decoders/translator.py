"""Encoder-decoders: a source sequence to a memory, and target tokens one after the other.

Both kinds share one signature. `encode` runs once a source, `decode` once a step with what it gave
the step before: a recurrent state of one size, or a cache that grows by an entry a step. A source
step of the memory holds all that decoding needs of it, its keys too, so that no step computes them
again. Training decodes whole targets at once: `forward`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.decoders.attention import AdditiveAttention, clean
from models.recurrent import Cell, Recurrent
from models.sequence import State, last_step

PADDING = 0


class Encoded(NamedTuple):
    """What an encoder gives a decoder."""

    memory: Tensor  # (batch, source, memory_width)
    state: State  # where the decoder begins; empty if it has a cache


class Decoded(NamedTuple):
    """What a decoder gives for the tokens it read."""

    logits: Tensor  # (batch, time, vocabulary), of the token after each
    state: State
    cache: Tensor | None  # (batch, time, cache_width), of the tokens read only
    attention: Tensor  # (batch, time, source), rows sum to 1


class Past(NamedTuple):
    """What a decoder knows of the tokens before: one of both."""

    state: State
    cache: Tensor | None = None  # (batch, past, cache_width), rubbish past each length
    cache_lengths: Tensor | None = None  # int64 (batch,), 0 at the start


class Translator(nn.Module, ABC):
    """An encoder-decoder of either kind.

    Attributes:
        memory_width: Values a source step in the memory.
        cache_width: Values a target step in the cache; 0 if there is none.
        num_source_tokens: Of the source vocabulary.
        num_target_tokens: Of the target vocabulary.
    """

    num_source_tokens: int
    num_target_tokens: int
    memory_width: int
    cache_width: int = 0

    @abstractmethod
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each state tensor of the decoder without the batch axis."""

    @abstractmethod
    def encode(self, inputs: Tensor, lengths: Tensor) -> Encoded:
        """Read sources: int64 (batch, source), lengths int64 (batch,)."""

    @abstractmethod
    def decode(
        self, inputs: Tensor, lengths: Tensor, past: Past, memory: Tensor, memory_lengths: Tensor
    ) -> Decoded:
        """Read target tokens, int64 (batch, time), after those of the past."""

    def start(self, encoded: Encoded) -> Past:
        """The past of targets that have not begun."""
        if not self.cache_width:
            return Past(encoded.state)
        batch_size = encoded.memory.shape[0]
        empty = encoded.memory.new_zeros(batch_size, 0, self.cache_width)
        return Past({}, empty, torch.zeros(batch_size, dtype=torch.int64))

    def forward(
        self, sources: Tensor, source_lengths: Tensor, targets: Tensor, lengths: Tensor
    ) -> Tensor:
        """Logits (batch, time, vocabulary) after every token of targets (batch, time)."""
        encoded = self.encode(sources, source_lengths)
        decoded = self.decode(targets, lengths, self.start(encoded), encoded.memory, source_lengths)
        return decoded.logits


class RecurrentTranslator(Translator):
    """A bidirectional encoder; a decoder of two cells with additive attention between them.

    The lower cell reads the tokens, its output asks for the context (Bahdanau et al. 2015), the
    upper one reads both, as in Wu et al., "Google's neural machine translation system" (2016):

        a(t) = cell_1(a(t-1), E y(t-1));  c(t) = attention(a(t), memory)
        s(t) = cell_2(s(t-1), [a(t), c(t)]);  logits(t) = O W [s(t), c(t)]

    No cell waits for another's step before, so a layer is one fused operator over all steps that
    are known. O is the embedding of the target tokens again (Press and Wolf, EACL 2017).
    """

    def __init__(
        self,
        num_source_tokens: int,
        num_target_tokens: int,
        *,
        cell: Cell = "gru",
        embedding_size: int = 128,
        hidden_size: int = 256,
        num_layers: int = 1,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.num_source_tokens = num_source_tokens
        self.num_target_tokens = num_target_tokens
        self.source_embedding = nn.Embedding(num_source_tokens, embedding_size)
        self.target_embedding = nn.Embedding(num_target_tokens, embedding_size)
        self.encoder = Recurrent(
            cell,
            embedding_size,
            hidden_size // 2,
            num_layers,
            bidirectional=True,
            dropout=dropout,
        )
        self.attention = AdditiveAttention(hidden_size, hidden_size, hidden_size // 2)
        self.lower = Recurrent(cell, embedding_size, hidden_size)
        self.upper = Recurrent(cell, 2 * hidden_size, hidden_size)
        self.begin = nn.Linear(hidden_size, hidden_size * len(self.state_shapes()))
        self.narrow = nn.Linear(2 * hidden_size, embedding_size)
        self.bias = nn.Parameter(torch.zeros(num_target_tokens))
        self.dropout = nn.Dropout(dropout)
        self.hidden_size = hidden_size
        self.memory_width = hidden_size + hidden_size // 2
        for embedding in (self.source_embedding, self.target_embedding):
            nn.init.normal_(embedding.weight, std=embedding_size**-0.5)

    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """`lower_hidden`, `upper_hidden` (and `…_cell` of an LSTM), each (1, hidden)."""
        return {
            f"{part}_{name}": shape
            for part in ("lower", "upper")
            for name, shape in (getattr(self, part).state_shapes() or {}).items()
        }

    def encode(self, inputs: Tensor, lengths: Tensor) -> Encoded:
        """As `Translator.encode`; the memory is the values, then their keys."""
        embedded = self.dropout(self.source_embedding(inputs))
        encoding = self.encoder(embedded, lengths, {})
        values = encoding.outputs  # (batch, source, hidden)
        begin = torch.tanh(self.begin(encoding.last))  # (batch, states * hidden)
        parts = begin.unsqueeze(1).chunk(len(self.state_shapes()), dim=2)
        return Encoded(
            torch.cat([self.dropout(values), self.attention.key(values)], dim=2),
            dict(zip(self.state_shapes(), parts, strict=True)),
        )

    def decode(
        self, inputs: Tensor, lengths: Tensor, past: Past, memory: Tensor, memory_lengths: Tensor
    ) -> Decoded:
        """As `Translator.decode`; the state is that after each row's last real token."""
        cleaned = clean(memory, memory_lengths)
        values, keys = cleaned[:, :, : self.hidden_size], cleaned[:, :, self.hidden_size :]
        embedded = self.dropout(self.target_embedding(inputs))
        lower = self.lower(embedded, lengths, _part(past.state, "lower"))
        context, weights = self.attention(lower.outputs, keys, values, memory_lengths)
        joined = self.dropout(torch.cat([lower.outputs, context], dim=2))
        upper = self.upper(joined, lengths, _part(past.state, "upper"))
        answer = self.narrow(self.dropout(torch.cat([upper.outputs, context], dim=2)))
        logits = torch.matmul(answer, self.target_embedding.weight.transpose(0, 1)) + self.bias
        state = {f"lower_{name}": value for name, value in lower.state.items()}
        state |= {f"upper_{name}": value for name, value in upper.state.items()}
        return Decoded(logits, state, None, weights)


def _part(state: State, part: str) -> State:
    """The state of one cell, by the cell's own names."""
    return {
        name.removeprefix(f"{part}_"): value
        for name, value in state.items()
        if name.startswith(part)
    }


class TranslatorEncoder(nn.Module):
    """The graph that runs once a source: memory, then the state in the order of its names."""

    def __init__(self, model: Translator) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """Memory (batch, source, memory_width), state tensors (batch, *shape)."""
        encoded = self.model.encode(inputs, lengths)
        return (encoded.memory, *(encoded.state[name] for name in self.model.state_shapes()))


class TranslatorDecoder(nn.Module):
    """The graph that runs once a step: the contract of decoders, with positional tensors."""

    def __init__(self, model: Translator) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor, lengths: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """Logits (batch, vocabulary) after each row's last token, attention, then what goes on.

        Args:
            inputs: int64 (batch, time).
            lengths: int64 (batch,).
            rest: Either the state tensors or cache and its lengths; then memory and its lengths.
        """
        *before, memory, memory_lengths = rest
        past = (
            Past({}, *before)
            if self.model.cache_width
            else Past(dict(zip(self.model.state_shapes(), before, strict=True)))
        )
        decoded = self.model.decode(inputs, lengths, past, memory, memory_lengths)
        after = list(decoded.state.values()) if decoded.cache is None else [decoded.cache]
        return (
            last_step(decoded.logits, lengths),
            last_step(decoded.attention, lengths),
            *after,
        )
