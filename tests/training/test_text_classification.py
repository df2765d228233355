"""Classifiers of texts trained on a few made lines: that a server labels alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from service.manifest import read_file, read_graph, read_manifest
from service.tasks.classification.texts import TextClassificationRequest
from service.tasks.registry import task_of
from service.tasks.task import Bundle
from training.data.held import hold_out
from training.data.texts.labelled import Labelled
from training.data.texts.tsv import to_tsv
from training.export.bundle import export_run
from training.recipe_file import RecipeFile
from training.run import train_run

LETTERS = {"vowels": "aeiou", "stops": "ptkbdg", "figures": "0123456789"}


def made(count: int, seed: int) -> list[Labelled]:
    random = np.random.default_rng(seed)
    items = []
    for place in range(count):
        label = list(LETTERS)[place % len(LETTERS)]
        letters = random.choice(list(LETTERS[label]), random.integers(2, 12))
        items.append(Labelled("".join(letters), label))
    return items


def test_a_server_labels_as_the_metrics_were_measured(tmp_path: Path) -> None:
    parts = {"train": made(90, 0), "test": made(30, 1)}
    for part, items in parts.items():
        (tmp_path / f"{part}.tsv").write_text(to_tsv(items))
    recipe = RecipeFile(
        name="made-texts",
        task="text_classification",
        family="gru",
        data={part: str(tmp_path / f"{part}.tsv") for part in parts} | {"name": "made"},
        architecture={"hidden_size": 12, "num_layers": 1, "embedding_size": 8, "head": "mean"}
        | {"groups": [64, 128]},
        fit={"steps": 40, "batch_size": 8, "evaluate_every": 20, "learning_rate": 1e-2},
    )
    data = recipe.load()
    metrics = train_run(recipe.run(data, 0), data, tmp_path / "run")
    assert metrics["test"]["accuracy"] >= 0.9
    assert metrics["sequences"] == {"train": 84, "validation": 6, "test": 30}

    bundle = export_run(tmp_path / "run", tmp_path / "repository")
    manifest = read_manifest(bundle)
    assert manifest.batching == "cells"
    session = onnxruntime.InferenceSession(read_graph(bundle, manifest))
    task = task_of(Bundle(manifest, lambda name: read_file(bundle, manifest, name)))
    texts = [f" {item.text}\n" for item in parts["test"]]
    work = task.read(TextClassificationRequest(texts=texts))
    labels = []
    state = {
        pair.input: np.full((1, *pair.shape), pair.initial, np.float32) for pair in manifest.state
    }
    for ids in work.asked:
        given = {"inputs": ids[None], "lengths": np.array([len(ids)]), **state}
        (logits,) = session.run(["logits"], given)
        labels.append(manifest.outputs.labels[int(logits.argmax())])
    rights = [label == item.label for label, item in zip(labels, parts["test"], strict=True)]
    assert np.mean(rights) == pytest.approx(metrics["test"]["accuracy"])


def test_what_is_held_out_is_a_share_and_always_the_same() -> None:
    items = list(range(40))
    learnt, held = hold_out(items, 0.1)
    assert sorted(learnt + held) == items
    assert len(held) == 4
    assert learnt == sorted(learnt)
    assert hold_out(items, 0.1) == (learnt, held)
    assert len(hold_out([1, 2], 0.01)[1]) == 1
    with pytest.raises(ValueError, match="too few"):
        hold_out([1], 0.5)
    with pytest.raises(ValueError, match="not over 0"):
        hold_out(items, 1.0)
