"""Real graphs: as the equations say, by whatever run; others are refused at load."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service.decoding.prompt import Beam, Prompt, Sampling
from service.errors import BundleError
from service.graphs.decoders.check import check_decoder
from service.graphs.decoders.decoder import Decoder, MemorySpec
from service.graphs.model import Arrays
from service.graphs.spec import StateSpec
from tests.decoding.fakes import KINDS, FakeAttention, FakeDecoder, FakeLstm, tokens_of
from tests.decoding.graphs import onnx_of
from tests.decoding.harness import ByHand, check

GRAPHS = ["lstm", "attention", "translator"]


@pytest.mark.parametrize("kind", GRAPHS)
def test_many_texts_at_a_time_are_what_the_equations_say(kind: str) -> None:
    fake = KINDS[kind]()
    random = np.random.default_rng(0)
    hand = ByHand(onnx_of(fake), max_batch_size=16, chunk_steps=4, max_active_sequences=24)
    asked = []
    for index in range(30):
        strategy = Beam(1 + index % 4, 12) if index % 3 == 0 else Sampling(20, 0.8, 6, 0.9, index)
        given = tokens_of(random.integers(0, 10, 1 + index % 11).tolist())
        source = tokens_of(random.integers(0, 10, 1 + index % 9).tolist())
        asked.append(Prompt(given, strategy, source if kind == "translator" else None))
    for prompt, found in zip(asked, hand.run(*asked), strict=True):
        check(fake, prompt, found)
    sizes = [len(lengths) for lengths in hand.decoder.runs]
    assert max(sizes) > 8
    assert len(sizes) < 300


@pytest.mark.parametrize("kind", KINDS)
def test_a_fake_passes_the_check(kind: str) -> None:
    check_decoder(KINDS[kind]())


@pytest.mark.parametrize("kind", GRAPHS)
def test_a_graph_passes_the_check(kind: str) -> None:
    check_decoder(onnx_of(KINDS[kind]()))


class Leaky(FakeDecoder):
    """Adds what it should not look at to the logits."""

    def __init__(self, inner: FakeDecoder, leak: str) -> None:
        super().__init__(inner.spec)
        self.inner, self.leak = inner, leak
        self.encode = inner.encode  # type: ignore[method-assign]

    def run(self, tokens: NDArray[np.int64], lengths: NDArray[np.int64], held: Arrays) -> Arrays:
        outputs = self.inner.run(tokens, lengths, held)
        extra: NDArray[Any] = {
            "padding": tokens[:, -1],
            "neighbours": np.full(len(tokens), tokens[0, 0]),
            "order": np.arange(len(tokens)),
            "chunks": lengths,
        }.get(self.leak, held.get(self.leak, np.zeros(len(tokens))))
        outputs["logits"][:, 2] += 0.01 * extra.reshape(len(tokens), -1).sum(axis=1)
        return outputs


@pytest.mark.parametrize(
    ("kind", "leak"),
    [
        ("lstm", "padding"),
        ("lstm", "neighbours"),
        ("lstm", "order"),
        ("lstm", "chunks"),
        ("attention", "cache"),
        ("translator", "memory"),
    ],
)
def test_what_depends_on_neighbours_is_refused(kind: str, leak: str) -> None:
    with pytest.raises(BundleError, match="not batch-invariant: logits of a text of"):
        check_decoder(Leaky(KINDS[kind](), leak))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"state": ()}, "the decoder graph's inputs are"),
        ({"inputs": "tokens"}, "the decoder graph's inputs are"),
        ({"state": (StateSpec("hidden", "hidden_out", (7,)), StateSpec("cell", "cell_out", (6,)))},
         "input hidden is tensor(float) ['batch', 6], not float32 (None, 7)"),
        ({"attention": "attention"}, "the decoder graph has no output attention"),
        ({"memory": MemorySpec(6, 10)}, "a memory needs an encoder graph"),
    ],
)  # fmt: skip
def test_another_signature_is_refused(changes: dict[str, Any], message: str) -> None:
    graph = onnx_of(FakeLstm())
    with pytest.raises(BundleError, match=re.escape(message)):
        Decoder(replace(graph.spec, **changes), graph.session)


def test_outputs_of_another_width_are_refused() -> None:
    graph = onnx_of(FakeLstm())
    decoder = Decoder(replace(graph.spec, vocabulary=12), graph.session)
    with pytest.raises(BundleError, match="output logits is float32"):
        check_decoder(decoder)


def test_an_encoder_must_give_the_memory_and_the_first_state() -> None:
    fake = onnx_of(KINDS["translator"]())
    encoder = onnx_of(FakeLstm()).session
    with pytest.raises(BundleError, match="the encoder graph's inputs are"):
        Decoder(fake.spec, fake.session, encoder)


@pytest.mark.parametrize("chunk_steps", [1, 7, 64])
def test_a_window_holds_no_more_than_it_looks_at(chunk_steps: int) -> None:
    fake = FakeAttention(window=20)
    prompt = Prompt(tokens_of([2, 3, 4] * 20), Sampling(130, seed=2))
    fake.spec = replace(fake.spec, end=None)
    hand = ByHand(fake, chunk_steps=chunk_steps)
    job = hand.submit(prompt)
    longest = 0
    while (run := hand.core.take()) is not None:
        hand.finish(run)
        if group := job.generations[0].group:
            longest = max(longest, int(group.states.cache_lengths.max()))
            assert group.states.cache.shape[1] < 20 + 64 + 64 + 32
    assert 20 < longest <= 20 + 64
    (found,) = hand.scheduler.results(job)
    check(fake, prompt, found)
