"""Taggers trained on a few made sentences: what is learnt, and that a server tags alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from service.manifest import Scores, read_file, read_graph, read_manifest
from service.tasks.registry import task_of
from service.tasks.tagging.task import TaggingRequest
from service.tasks.task import Bundle
from training.data.batches import Row
from training.data.texts.conll import to_conll
from training.data.texts.tagged import Sentence, TaggedText
from training.export.bundle import export_run
from training.recipe_file import RecipeFile
from training.run import train_run
from training.task import Run
from training.tasks import TASKS
from training.tasks.tagging.objective import NO_TAG, TaggingObjective, field_of
from training.tasks.tagging.scores import tagging_scores
from training.tasks.tagging.vocabulary import vocabulary_of

NAMES = ["Ann Bell", "Bob", "Cy Dee Eff", "Gus Hill"]


def made(count: int, seed: int) -> list[Sentence]:
    """Sentences with a name before or after a few plain words."""
    random = np.random.default_rng(seed)
    sentences = []
    for _ in range(count):
        name = NAMES[random.integers(len(NAMES))].split()
        plain = ["saw", "the", "dog", "run"][: random.integers(1, 5)]
        parts = [(name, ["B-NAME", *["I-NAME"] * (len(name) - 1)]), (plain, ["O"] * len(plain))]
        if random.random() < 0.5:
            parts.reverse()
        sentences.append(
            Sentence([w for ws, _ in parts for w in ws], [t for _, ts in parts for t in ts])
        )
    return sentences


def test_a_server_tags_as_the_metrics_were_measured(tmp_path: Path) -> None:
    parts = {"train": made(60, 0), "test": made(20, 1)}
    for part, sentences in parts.items():
        (tmp_path / f"{part}.conll").write_text(to_conll(sentences))
    data = {part: str(tmp_path / f"{part}.conll") for part in parts}
    recipe = RecipeFile(
        name="made-names",
        task="tagging",
        family="transformer",
        data={**data, "name": "made", "validation_share": 0.2},
        architecture={"hidden_size": 16, "word_size": 8, "character_size": 4, "dropout": 0.1},
        fit={"steps": 40, "batch_size": 8, "evaluate_every": 20, "learning_rate": 1e-2},
    )
    loaded = recipe.load()
    metrics = train_run(recipe.run(loaded, 0), loaded, tmp_path / "run")
    assert metrics["metric"] == "span_f1"
    assert metrics["test"]["span_f1"] >= 0.9
    assert metrics["sequences"] == {"train": 48, "validation": 12, "test": 20}
    assert set(metrics["baselines"]) == {"most frequent tag of a word"}

    bundle = export_run(tmp_path / "run", tmp_path / "repository")
    manifest = read_manifest(bundle)
    assert manifest.outputs.weights == "weights"
    names = ["logits", "weights"]
    session = onnxruntime.InferenceSession(read_graph(bundle, manifest))
    task = task_of(Bundle(manifest, lambda name: read_file(bundle, manifest, name)))
    work = task.read(TaggingRequest(tokens=[sentence.words for sentence in parts["test"]]))
    lengths = np.array([len(sequence) for sequence in work.asked])
    inputs = np.zeros((len(lengths), lengths.max(), *manifest.inputs.step_shape), dtype=np.int64)
    for row, sequence in zip(inputs, work.asked, strict=True):
        row[: len(sequence)] = sequence
    results = session.run(names, {"inputs": inputs, "lengths": lengths})
    predictions = work.answer(dict(zip(names, results, strict=True)))
    tags = [[token["tag"] for token in prediction["tokens"]] for prediction in predictions]
    scores = tagging_scores([s.tags for s in parts["test"]], tags, has_spans=True)
    expected = {name: metrics["test"][name] for name in scores}
    assert scores == pytest.approx(expected)
    assert isinstance(manifest.quality, Scores)
    assert manifest.quality.metrics.items() >= expected.items()


def make_objective() -> TaggingObjective:
    sentences = [
        Sentence(["the", "dog", "the"], ["AT", "NN", "AT"]),
        Sentence(["the", "cat"], ["AT", "NN"]),
    ]
    return TaggingObjective(sentences, sentences, ["AT", "NN"], vocabulary_of(sentences), 0.0)


def test_only_words_that_occur_once_are_ever_taken_for_unknown() -> None:
    objective = make_objective()
    seen = {tuple(objective.example(Row(0, (0, step, 0)))[0][:, 0]) for step in range(40)}
    the, dog = objective.vocabulary.words.ids(["the", "dog"])
    assert seen == {(the, dog, the), (the, 1, the)}
    assert objective.learnt[0][0][1, 0] == dog  # changed in a copy


def test_a_batch_is_padded_and_an_unseen_tag_is_no_target() -> None:
    objective = make_objective()
    odd = objective._encode(Sentence(["cat"], ["UH"]))
    inputs, lengths, targets = objective.collate([objective.learnt[0], odd])
    assert inputs.shape == (2, 3, 17)
    assert lengths.tolist() == [3, 1]
    assert targets.tolist() == [[0, 1, 0], [NO_TAG] * 3]
    assert not inputs[1, 1:].any()


def test_a_random_field_allows_no_span_that_begins_in_its_middle() -> None:
    task = TASKS["tagging"]
    data = TaggedText("made", made(20, 0), made(5, 1), "none", "made", made(5, 2))
    sizes = {"hidden_size": 4, "word_size": 4}
    architecture = task.default_architecture("birnn", data, **sizes)
    recipe = task.default_recipe("birnn", data)
    model, _ = task.begin(Run("made", "tagging", architecture, recipe, 0), data)
    assert data.labels() == ["O", "B-NAME", "I-NAME"]
    between, start, _ = field_of(model).transitions()
    assert (between < -1e3).tolist() == [[False, False, True], [False] * 3, [False] * 3]
    assert (start < -1e3).tolist() == [False, False, True]
