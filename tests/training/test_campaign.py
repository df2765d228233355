"""Which of a family's runs becomes its bundle, and what its card then tells of the others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.training.made import make_dataset, make_run
from training.campaign import choose_run
from training.card import load_run
from training.recipe_file import read_recipe
from training.run import finished_metrics, train_run, write_metrics

# by seed: accuracy on validation, loss on validation, accuracy on test
SCORES = {0: (0.98, 0.2, 0.99), 1: (0.98, 0.1, 0.95), 2: (0.97, 0.05, 1.0)}


def write_run(finished: Path, folder: Path, scores: tuple[float, float, float]) -> None:
    shutil.copytree(finished, folder)
    metrics = finished_metrics(folder)
    assert metrics
    metrics["validation"] |= {"accuracy": scores[0], "loss": scores[1]}
    metrics["test"]["accuracy"] = scores[2]
    write_metrics(folder, metrics)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    finished = tmp_path / "finished"
    train_run(make_run(steps=1), make_dataset(30), finished)
    for seed, scores in SCORES.items():
        write_run(finished, tmp_path / "digits-gru" / f"seed-{seed}", scores)
    write_run(finished, tmp_path / "digits-gru-left-out-speaker" / "seed-0", (1.0, 0.0, 0.7))
    return tmp_path


def test_the_best_on_validation_is_exported_and_a_missing_run_is_named(run_dir: Path) -> None:
    recipe = read_recipe("digits-gru")
    chosen = choose_run(run_dir, recipe)
    assert chosen == run_dir / "digits-gru" / "seed-1"
    assert choose_run(run_dir, recipe) == chosen  # again, after an interruption
    metrics = finished_metrics(chosen)
    assert metrics
    assert metrics["seeds"] == {"0": 0.99, "1": 0.95, "2": 1.0}
    assert metrics["left_out_speaker"]["accuracy"] == 0.7
    assert metrics["left_out_speaker"]["speaker"] == "theo"
    assert load_run(chosen)[0].quality.seeds == metrics["seeds"]

    (run_dir / "digits-gru" / "seed-2" / "metrics.json").unlink()
    with pytest.raises(FileNotFoundError, match="seed-2"):
        choose_run(run_dir, recipe)
