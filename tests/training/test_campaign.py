"""Which of a family's runs becomes its bundle, and what its card then tells of the others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.training.made import make_dataset, make_run
from training.__main__ import main
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


OWN_FILES = {
    "pos-birnn": ("conll", "The\tAT\ndog\tNN\n\nIt\tPPS\nbarks\tVBZ\n\n" * 30),
    "languages-gru": ("tsv", "a dog\ten\nun chien\tfr\nein Hund\tde\n" * 30),
    "en-fr-gru": ("tsv", "a dog\tun chien\na cat\tun chat\n" * 30),
    "shakespeare-lstm": ("txt", "To be, or not to be: that is the question.\n" * 30),
    "digits-gru": ("ts", "@univariate true\n@classLabel true a b\n@data\n1,2,3:a\n3,2,1:b\n"),
}


@pytest.mark.parametrize("name", OWN_FILES)
def test_a_recipe_takes_a_users_own_files(tmp_path: Path, name: str) -> None:
    suffix, content = OWN_FILES[name]
    path = tmp_path / f"mine.{suffix}"
    path.write_text(content)
    recipe = read_recipe(name)
    own = recipe.on_files("mine", str(path), str(path), None)
    data = own.load()
    run = own.run(data, seed=0)
    assert run.name == own.name == "mine"
    assert run.architecture["family"] == recipe.family
    written = tmp_path / "mine.json"
    written.write_text(own.model_dump_json())
    assert read_recipe(str(written)) == own


@pytest.mark.parametrize(
    ("name", "valid", "missing"),
    [("traffic-gru", None, "--train or --test"), ("digits-gru", "c.npz", "--valid")],
)
def test_files_that_a_task_does_not_read_are_refused(
    name: str, valid: str | None, missing: str
) -> None:
    with pytest.raises(ValueError, match=missing):
        read_recipe(name).on_files("mine", "a.tsv", "b.tsv", valid)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--name", "mine", "--train", "a"],
        ["pos-birnn", "--train", "a", "--test", "b"],
        ["pos-birnn", "names-birnn", "--name", "mine", "--train", "a", "--test", "b"],
    ],
)
def test_own_files_need_all_that_is_asked(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["bundles", *arguments])
    assert "own files need one recipe, --name, --train and --test" in capsys.readouterr().err
