"""Decoders without a graph: NumPy equations in float64, so that a batch computes as a row alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.graphs.decoders.decoder import CacheSpec, Decoder, DecoderSpec, MemorySpec
from service.graphs.model import Arrays
from service.graphs.spec import StateSpec
from tests.fakes import TIMEOUT_S

VOCABULARY, WIDTH, END = 11, 6, 1
MARK = 10  # a decoder told to fail does so on this token

Floats = NDArray[np.float64]


def drawn(seed: int, *shape: int) -> Floats:
    """Weights."""
    return np.random.default_rng(seed).standard_normal(shape)


def softmax(scores: Floats) -> Floats:
    """Along the last axis; -inf counts nothing."""
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: Floats = weights / weights.sum(axis=-1, keepdims=True)
    return shares


class FakeDecoder(Decoder):
    """Runs row by row and token by token, as `step` says; keeps the rows of each run.

    `gate`: held there until the test opens it.
    """

    def __init__(self, spec: DecoderSpec, fails: bool = False) -> None:
        self.spec = spec
        self.fails = fails
        self.gate = threading.Event()
        self.gate.set()
        self.runs: list[NDArray[np.int64]] = []
        self.embedding = 0.7 * drawn(1, VOCABULARY, WIDTH)
        self.head = 1.5 * drawn(2, WIDTH, VOCABULARY)

    def run(self, tokens: NDArray[np.int64], lengths: NDArray[np.int64], held: Arrays) -> Arrays:
        assert self.gate.wait(TIMEOUT_S)
        assert tokens.dtype == lengths.dtype == np.int64
        assert tokens.shape == (len(lengths), lengths.max())
        assert lengths.min() >= 1
        assert all(len(array) == len(tokens) for array in held.values())
        self.runs.append(lengths.copy())
        if self.fails and any((row[:n] == MARK).any() for row, n in zip(tokens, lengths)):  # noqa: B905
            raise ValueError("a marked token")
        rows = [
            self.row(tokens[row, :length], {name: array[row] for name, array in held.items()})
            for row, length in enumerate(lengths)
        ]
        outputs = {}
        for name in rows[0]:
            parts = [row[name] for row in rows]
            longest = [max(part.shape[axis] for part in parts) for axis in range(parts[0].ndim)]
            outputs[name] = np.full((len(rows), *longest), 1e6, np.float32)  # rubbish in padding
            for place, part in zip(outputs[name], parts, strict=True):
                place[tuple(map(slice, part.shape))] = part
        return outputs

    def row(self, tokens: NDArray[np.int64], held: dict[str, NDArray[Any]]) -> dict[str, Floats]:
        """One row's outputs, without the batch's axis."""
        raise NotImplementedError


class FakeLstm(FakeDecoder):
    """An LSTM language model: Hochreiter & Schmidhuber's equations with a forget gate."""

    def __init__(self, fails: bool = False, **changes: Any) -> None:
        states = tuple(
            StateSpec(name, f"{name}_out", (WIDTH,), 0.25) for name in ("hidden", "cell")
        )
        spec = DecoderSpec(VOCABULARY, 200, end=END, forbidden=(0,), state=states)
        super().__init__(replace(spec, **changes), fails)
        self.inner, self.outer = drawn(3, WIDTH, 4 * WIDTH), drawn(4, WIDTH, 4 * WIDTH)

    def row(self, tokens: NDArray[np.int64], held: dict[str, NDArray[Any]]) -> dict[str, Floats]:
        hidden, cell = held["hidden"].astype(float), held["cell"].astype(float)
        for token in tokens:
            gates = self.embedding[token] @ self.outer + hidden @ self.inner
            enter, forget, leave = (1 / (1 + np.exp(-gates[: 3 * WIDTH]))).reshape(3, WIDTH)
            cell = forget * cell + enter * np.tanh(gates[3 * WIDTH :])
            hidden = leave * np.tanh(cell)
            hidden, cell = (it.astype(np.float32).astype(float) for it in (hidden, cell))
        return {"logits": hidden @ self.head, "hidden_out": hidden, "cell_out": cell}


class FakeAttention(FakeDecoder):
    """One causal attention layer over embeddings, looking back as far as its window."""

    def __init__(self, window: int | None = None, fails: bool = False, **changes: Any) -> None:
        cache = CacheSpec(2 * WIDTH, 150, window)
        spec = DecoderSpec(VOCABULARY, 200, end=END, forbidden=(0,), cache=cache)
        super().__init__(replace(spec, **changes), fails)
        self.window = window or 10_000
        self.projections = drawn(5, 3, WIDTH, WIDTH)

    def row(self, tokens: NDArray[np.int64], held: dict[str, NDArray[Any]]) -> dict[str, Floats]:
        past = held["cache"][: held["cache_lengths"]].astype(float)
        queries, keys, values = self.embedding[tokens] @ self.projections
        new = np.concatenate([keys, values], axis=1).astype(np.float32).astype(float)
        seen = np.concatenate([past, new])[-self.window :]
        ages = np.arange(len(seen))[::-1]  # relative: nothing knows how long the text is
        weights = softmax(seen[:, :WIDTH] @ queries[-1] - 0.1 * ages)
        context = weights @ seen[:, WIDTH:]
        return {"logits": (context + self.embedding[tokens[-1]]) @ self.head, "cache_out": new}


class FakeTranslator(FakeDecoder):
    """A plain recurrent decoder that attends to an encoder's embeddings."""

    def __init__(self, fails: bool = False, **changes: Any) -> None:
        spec = DecoderSpec(
            VOCABULARY, 200, end=END, forbidden=(0,),
            state=(StateSpec("hidden", "hidden_out", (WIDTH,)),),
            memory=MemorySpec(WIDTH, 50), attention="attention",
        )  # fmt: skip
        super().__init__(replace(spec, **changes), fails)
        self.inner = drawn(6, WIDTH, WIDTH)
        self.sources: list[NDArray[np.int64]] = []

    def encode(self, tokens: NDArray[np.int64], lengths: NDArray[np.int64]) -> Arrays:
        assert tokens.shape == (len(lengths), lengths.max())
        self.sources.append(lengths.copy())
        memory = np.full((*tokens.shape, WIDTH), 1e6, np.float32)
        hidden = np.zeros((len(tokens), WIDTH), np.float32)
        for row, length in enumerate(lengths):
            memory[row, :length] = self.embedding[tokens[row, :length]]
            memory[row, :length] += 0.1 * np.arange(length)[:, None]
            hidden[row] = np.tanh(memory[row, :length].sum(axis=0))
        return {"memory": memory, "hidden": hidden}

    def row(self, tokens: NDArray[np.int64], held: dict[str, NDArray[Any]]) -> dict[str, Floats]:
        memory = held["memory"][: held["memory_lengths"]].astype(float)
        hidden = held["hidden"].astype(float)
        for token in tokens:
            hidden = np.tanh(hidden @ self.inner + self.embedding[token])
            hidden = hidden.astype(np.float32).astype(float)
        weights = softmax(memory @ hidden)
        logits = (hidden + weights @ memory) @ self.head
        return {"logits": logits, "hidden_out": hidden, "attention": weights}


KINDS: dict[str, Callable[..., FakeDecoder]] = {
    "lstm": FakeLstm,
    "attention": FakeAttention,
    "window": lambda **changes: FakeAttention(window=5, **changes),
    "translator": FakeTranslator,
}


def tokens_of(values: Sequence[int]) -> NDArray[np.int64]:
    """Tokens (time,)."""
    return np.array(values, dtype=np.int64)
