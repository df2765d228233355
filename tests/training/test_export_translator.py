"""Encoder-decoders exported for real; and every gate closes on the fault it is there for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from models.decoders.translator import (
    RecurrentTranslator,
    Translator,
    TranslatorDecoder,
    TranslatorEncoder,
)
from service.decoding.prompt import Beam, Prompt
from service.graphs.decoders.check import check_decoder
from service.manifest import (
    Inputs,
    Limits,
    Outputs,
    Profile,
    Provenance,
    Scores,
    read_file,
    read_graph,
    read_manifest,
)
from service.tasks.settings import ENCODER_FILE
from service.tasks.task import Bundle
from service.tasks.translation.settings import TranslationSettings, Writing
from service.tasks.translation.task import Translation
from service.tasks.translation.vocabulary import BEGIN, Vocabulary
from tests.decoding.graphs import OnnxFake
from tests.decoding.harness import ByHand
from training.card import Card, save_run
from training.export.bundle import export_run
from training.export.lint import ExportError
from training.export.translator import Graphs, signatures_of
from training.export.translator_gates import (
    Arrays,
    TranslatorCandidate,
    check_company,
    check_parity,
    check_steps,
)
from training.tasks.translation.objective import translate
from training.tasks.translation.task import TranslationTask

torch.set_num_threads(1)  # these matrices are too small to share

SIZES: dict[str, Any] = {"embedding_size": 6, "hidden_size": 8, "num_layers": 2}
MAX_TOKENS = 9


def make_run(folder: Path) -> tuple[Card, Translator]:
    """Write a run of small sizes with random weights."""
    torch.manual_seed(0)
    source = Vocabulary.learn([list("abcdef")])
    target = Vocabulary.learn([list("uvwxyz!")])
    architecture = {
        "family": "lstm",
        "num_source_tokens": len(source),
        "num_target_tokens": len(target),
        **SIZES,
    }
    model = TranslationTask().rebuild(architecture).eval()
    for parameter in model.parameters():  # so that answers differ
        torch.nn.init.normal_(parameter, std=0.5)
    files = {"source.txt": source.to_bytes(), "target.txt": target.to_bytes()}
    card = Card(
        name="toy",
        task="translation",
        architecture=architecture,
        inputs=Inputs(tokens=[len(source)]),
        outputs=Outputs(values=len(target)),
        settings=TranslationSettings(
            writing=Writing(source_units="characters", target_units="characters"),
            example="abc",
            max_tokens=MAX_TOKENS,
            memory_width=model.memory_width,
            cache_width=model.cache_width,
        ),
        limits=Limits(max_length=20),
        quality=Scores(
            metric="exact_match",
            higher_is_better=True,
            metrics={"exact_match": 0.5},
            test_sequences=2,
        ),
        profile=Profile(length_quantiles={"0.5": 9.0}),
        provenance=Provenance(
            dataset="toy",
            data_licence="none",
            split="none",
            seed=0,
            hyperparameters={},
            libraries={},
            created_utc="2026-01-01T00:00:00Z",
        ),
        files=sorted(files),
    )
    save_run(folder, card, files, model)
    return card, model


@pytest.mark.timeout(300)  # two exports, each in a process of its own
def test_a_bundle_answers_as_its_model(tmp_path: Path) -> None:
    """Exported, gated, loaded as a server loads it, and searched: as torch and training do."""
    _, model = make_run(tmp_path / "run")
    folder = export_run(tmp_path / "run", tmp_path / "repository")
    manifest = read_manifest(folder)
    assert manifest.batching == "decoding"
    assert manifest.outputs.weights == "attention"
    assert len(manifest.state) == 4
    assert max(cell.max_abs_error for cell in manifest.parity) < 1e-4
    recurrent = [
        node.op_type
        for name in ("model.onnx", "encoder.onnx")
        for node in onnx.load(folder / name).graph.node
        if node.op_type == "LSTM"
    ]
    assert len(recurrent) == 4
    task = Translation(Bundle(manifest, lambda name: read_file(folder, manifest, name)))
    graphs = read_graph(folder, manifest), task.bundle.read_file(ENCODER_FILE)
    decoder = OnnxFake(task.decoder_spec(), *graphs)
    check_decoder(decoder)
    _check_search(task, decoder, model)


def _check_search(task: Translation, decoder: OnnxFake, model: Translator) -> None:
    """The service's scheduler finds what training's search does."""
    sources = [task.interpreter.read(text).numbers for text in ("abc", "f", "bdface", "aa")]
    beam = Beam(3, MAX_TOKENS)
    begin = np.array([BEGIN])
    found = ByHand(decoder).run(*(Prompt(begin, beam, source) for source in sources))
    wanted = translate(model, sources, beam, task.interpreter.forbidden)
    for (made, *_), expected in zip(found, wanted, strict=True):
        assert made.tokens.tolist() == expected.tokens.tolist()
        assert made.score == pytest.approx(expected.score, abs=1e-4)
        assert made.attention is not None
        assert expected.attention is not None
        np.testing.assert_allclose(made.attention, expected.attention, atol=1e-4)


Spoil = Callable[[str, Arrays, Arrays], Arrays]
"""Makes of a part's name, what it is fed and what it answers a wrong answer."""


class Spoilt(TranslatorCandidate):
    """A graph that answers as torch does, but for a fault."""

    def __init__(self, spoil: Spoil) -> None:
        torch.manual_seed(0)
        self.model = RecurrentTranslator(9, 8, embedding_size=6, hidden_size=8).eval()
        self.signatures = signatures_of(self.model)
        self.parts = Graphs(TranslatorEncoder(self.model), TranslatorDecoder(self.model))
        self.random = np.random.default_rng(0)
        self.spoil = spoil

    def run(self, part: str, feed: Arrays, *, by_torch: bool) -> Arrays:
        answer = super().run(part, feed, by_torch=True)
        return answer if by_torch else self.spoil(part, feed, answer)


def answers_right(part: str, feed: Arrays, answer: Arrays) -> Arrays:
    return answer


def moves_logits(part: str, feed: Arrays, answer: Arrays) -> Arrays:
    return answer | ({"logits": answer["logits"] + 1e-2} if part == "decoder" else {})


def moves_memory(part: str, feed: Arrays, answer: Arrays) -> Arrays:
    return answer | ({"memory": answer["memory"] * 1.01} if part == "encoder" else {})


def sees_neighbours(part: str, feed: Arrays, answer: Arrays) -> Arrays:
    if part == "encoder":
        return answer
    return answer | {"logits": answer["logits"] + answer["logits"].mean(axis=0)}


def sees_padding(part: str, feed: Arrays, answer: Arrays) -> Arrays:
    if part == "encoder":
        return answer
    return answer | {"logits": answer["logits"] + 1e-3 * feed["memory"].sum(axis=(1, 2))[:, None]}


def forgets(part: str, feed: Arrays, answer: Arrays) -> Arrays:
    if part == "encoder":
        return answer
    return answer | {"upper_hidden_out": feed["upper_hidden"]}


GATES: dict[str, Callable[[TranslatorCandidate], object]] = {
    "parity": lambda candidate: check_parity(candidate, 40),
    "company": check_company,
    "steps": check_steps,
}


@pytest.mark.parametrize("gate", GATES)
def test_a_right_graph_passes(gate: str) -> None:
    GATES[gate](Spoilt(answers_right))


@pytest.mark.parametrize(
    ("gate", "spoil", "reason"),
    [
        ("parity", moves_logits, "decoder: logits differs"),
        ("parity", moves_memory, "encoder: memory differs"),
        ("parity", forgets, "decoder: upper_hidden_out differs"),
        ("company", sees_neighbours, "company: logits differs"),
        ("company", sees_padding, "company: logits differs"),
        ("steps", forgets, "steps: "),
    ],
)
def test_a_gate_closes(gate: str, spoil: Spoil, reason: str) -> None:
    with pytest.raises(ExportError, match=reason):
        GATES[gate](Spoilt(spoil))


def test_bytes_that_are_no_graph_are_refused() -> None:
    with pytest.raises(ExportError, match="load"):
        TranslatorCandidate(Graphs(b"no", b"graph"), RecurrentTranslator(5, 5))
