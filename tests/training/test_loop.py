from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

from tests.training.made import LABELS, make_dataset, make_run
from training.card import load_run
from training.fit.scores import answer
from training.run import train_run


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_run(folder)[1].state_dict()
    return found


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one.keys() | other.keys())


def test_a_run_learns_and_leaves_what_export_needs(tmp_path: Path) -> None:
    dataset = make_dataset()
    metrics = train_run(make_run(steps=250), dataset, tmp_path)
    assert metrics["test"]["accuracy"] > 0.9
    # mean and deviation say nothing about where the peak is
    assert metrics["test"]["accuracy"] > metrics["baselines"]["logistic regression"] + 0.2
    card, model = load_run(tmp_path)
    answers = answer(model, dataset.test).argmax(dim=1).numpy()
    assert (answers == dataset.test.targets).mean() == metrics["test"]["accuracy"]
    assert card.quality.model_dump()["test_accuracy"] == metrics["test"]["accuracy"]
    assert card.outputs.labels == LABELS
    assert card.profile.feature_means == pytest.approx([5.3, 5.0], abs=0.3)
    assert card.provenance.libraries["torch"] == torch.__version__
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    with (tmp_path / "log.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == list(range(10, 251, 10))
    assert (tmp_path / "learning_curve.png").stat().st_size > 5_000
    assert (tmp_path / "confusion.png").stat().st_size > 5_000
    assert list((tmp_path / "tensorboard").glob("events.*"))


@pytest.mark.parametrize("family", ["rnn", "lstm", "birnn", "attention", "transformer", "hybrid"])
def test_every_family_goes_through_the_same_loop(family: str, tmp_path: Path) -> None:
    metrics = train_run(make_run(family, dropout=0.0, steps=20), make_dataset(), tmp_path)
    losses = [row["train_loss"] for row in metrics["history"]]
    assert losses[-1] < losses[0]


def test_equal_seeds_give_equal_weights_and_others_do_not(tmp_path: Path) -> None:
    dataset = make_dataset()
    for folder, seed in (("one", 3), ("same", 3), ("other", 4)):
        train_run(make_run(seed=seed, steps=20), dataset, tmp_path / folder)
    one, same, other = (weights(tmp_path / folder) for folder in ("one", "same", "other"))
    assert equal(one, same)
    assert not equal(one, other)


def test_a_window_as_long_as_the_sequences_is_full_backpropagation(tmp_path: Path) -> None:
    dataset = make_dataset()
    for folder, window in (("full", None), ("long", 1_000), ("short", 4)):
        run = make_run(dropout=0.0, tbptt_window=window, steps=10)
        train_run(run, dataset, tmp_path / folder)
    full, long, short = (weights(tmp_path / folder) for folder in ("full", "long", "short"))
    assert equal(full, long)
    assert not equal(full, short)


def test_a_run_that_stands_still_ends_early_with_its_best_weights(tmp_path: Path) -> None:
    dataset = make_dataset()
    # a rate this small changes no answer: the first validation stays the best
    metrics = train_run(make_run(learning_rate=1e-12, patience=3, steps=500), dataset, tmp_path)
    assert metrics["steps"] < 500
    accuracies = [row["validation_score"] for row in metrics["history"]]
    best = [row["step"] for row in metrics["history"]].index(metrics["best_step"])
    assert accuracies[best] == max(accuracies) == metrics["validation"]["accuracy"]
    assert len(accuracies) == best + 1 + 3
