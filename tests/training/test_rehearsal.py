"""Nothing fails after a training, for the data's or a name's sake, that could be known before."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.made import make_dataset, make_run, write_recipe
from tests.training.recordings import recordings_of_all_parts
from training.__main__ import main
from training.data.frames.connected import load_connected
from training.fit.checkpoints import latest_checkpoint
from training.fit.report import draw_confusion
from training.recipe_file import RecipeFile, read_recipe
from training.run import train_run
from training.tasks import TASKS

TINY = {"hidden_size": 8, "num_layers": 1}
DAY_S, WEEK_S = 86_400, 604_800
FORECAST = {
    "frequency": "6h",
    "context": 56,
    "horizon": 28,
    "min_known": 4,
    "max_gap": 12,
    "seasons": [4, 28],
    "cycles": [{"period_s": DAY_S, "harmonics": 1}],
    "quantiles": [0.1, 0.5, 0.9],
}


def train(task: Any, family: str, data: dict[str, Any], folder: Path, **more: Any) -> Any:
    """By a recipe of its own, a few steps."""
    recipe = RecipeFile(
        name="own",
        task=task,
        family=family,
        data=data,
        fit={"steps": 2, "batch_size": 4, **more.pop("fit", {})},
        **{"architecture": TINY, **more},
    )
    loaded = recipe.load()
    metrics = train_run(recipe.run(loaded, 0), loaded, folder / "run")
    json.dumps(metrics, allow_nan=False)
    return metrics


def write(path: Path, content: str) -> str:
    path.write_text(content)
    return str(path)


def series(path: Path, kind: str, num_weeks: int = 14) -> str:
    """Every 6 hours."""
    random = np.random.default_rng(0)
    lines, count = ["time,value"], 28 * num_weeks
    for step in range(count):
        time = np.datetime64("2024-01-01T00") + np.timedelta64(6 * step, "h")  # a Monday
        value = 7.0 if kind == "constant" else 20 + 5 * (step % 4) + random.normal()
        if kind == "no weekends" and step % 28 >= 20:
            continue
        is_lost = kind == "no validation" and 0.65 * count < step < 0.85 * count
        lines.append(f"{time}:00,{'' if is_lost else round(value, 3)}")
    return write(path, "\n".join(lines) + "\n")


def test_a_constant_series_is_scored_without_what_divides_by_its_changes(tmp_path: Path) -> None:
    file = series(tmp_path / "own.csv", "constant")
    metrics = train("forecasting", "gru", {"file": file, **FORECAST}, tmp_path)
    assert "mase" not in metrics["test"]
    assert metrics["baselines"]["seasonal naive, 4 steps"] == 0
    assert "seasonal naive, 4 steps" in metrics["beaten_by"]


def test_a_series_without_weekends_is_scored_beside_what_can_be(tmp_path: Path) -> None:
    file = series(tmp_path / "own.csv", "no weekends")
    metrics = train("forecasting", "gru", {"file": file, **FORECAST}, tmp_path)
    assert "ridge" not in metrics["baselines"]  # no week is known whole
    assert metrics["test"]["mase"] > 0


def test_a_label_keeps_its_only_text(tmp_path: Path) -> None:
    lines = "".join(f"good {n}\tgood\nbad {n}\tbad\n" for n in range(9)) + "so so\tmixed\n"
    file = write(tmp_path / "own.tsv", lines)
    for share in (0.05, 0.5, 0.9):
        data = {"train": file, "test": file, "validation_share": share}
        loaded = TASKS["text_classification"].load(**data)
        assert loaded.labels() == ["bad", "good", "mixed"]
        assert {item.label for item in loaded.validation} == {"bad", "good"}
    metrics = train("text_classification", "gru", data, tmp_path)
    assert metrics["sequences"] == {"train": 3, "validation": 16, "test": 19}


def test_tags_with_an_o_need_not_mark_spans(tmp_path: Path) -> None:
    file = write(tmp_path / "own.conll", "The\tO\ndog\tNOUN\n\nIt\tO\nbarks\tVERB\n\n" * 20)
    data = {"train": file, "test": file}
    metrics = train("tagging", "birnn", data, tmp_path, architecture={"hidden_size": 8})
    assert metrics["metric"] == "accuracy"


def test_texts_of_one_length_and_of_a_few_characters_are_scored(tmp_path: Path) -> None:
    learnt = write(tmp_path / "own.txt", "to be or not to be\n" * 20)
    data = {"train": learnt, "test": write(tmp_path / "short.txt", "be")}
    sizes = {"hidden_size": 8, "embedding_size": 4}
    fit = {"tbptt_window": 4, "validation_share": 0.1, "muon_learning_rate": None}
    metrics = train("generation", "gru", data, tmp_path, architecture=sizes, fit=fit)
    assert set(metrics["baselines"]) == {"1-grams"}


def test_a_translator_needs_no_validation_source_that_is_known_whole(tmp_path: Path) -> None:
    learnt = write(tmp_path / "own.tsv", "a dog\tun chien\na cat\tun chat\n" * 4)
    held = write(tmp_path / "held.tsv", "zyx\tzyx\n")
    data = {"train": learnt, "valid": held, "test": held}
    data |= {"source_units": "words", "target_units": "words"}
    sizes = {"hidden_size": 8, "embedding_size": 4}
    metrics = train("translation", "gru", data, tmp_path, architecture=sizes)
    card = json.loads((tmp_path / "run" / "card.json").read_text())
    assert card["settings"]["example"] == "a dog"
    assert metrics["beaten_by"] == ["copy of the source"]


REFUSED: dict[str, tuple[Any, str, str]] = {
    "a validation part without values": (
        "forecasting",
        "no validation",
        "the validation part has no known value in any of its forecasts",
    ),
    "one tag": ("tagging", "it\tO\n\n" * 9 + "Rome\tB-LOC\n\n", "has one tag alone"),
    "one character": ("generation", "a" * 400, "the train part repeats one character"),
}


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Path]:
    """No step has been trained, and nothing of an earlier run is lost."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "metrics.json").write_text("{}")
    yield tmp_path
    assert "training begins" not in capsys.readouterr().out
    assert latest_checkpoint(folder) is None
    assert (folder / "metrics.json").exists()


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_not_be_scored_is_refused_before_it_is_trained(refused: Path, name: str) -> None:
    task, content, message = REFUSED[name]
    data: dict[str, Any]
    if task == "forecasting":
        data = {"file": series(refused / "own.csv", content), **FORECAST}
    else:
        file = write(refused / "own.txt", content)
        data = {"train": file, "test": file}
    more: dict[str, Any] = {"architecture": {"hidden_size": 8}} if task != "forecasting" else {}
    if task == "generation":
        more["fit"] = {"tbptt_window": 4}
    if task == "tagging":
        data["validation_share"] = 0.9  # one sentence is left
    with pytest.raises(ValueError, match=message):
        train(task, "birnn" if task == "tagging" else "gru", data, refused, **more)


def test_all_faults_of_all_parts_are_told_at_once() -> None:
    data = load_connected(train_sequences=6, test_sequences=4, recordings=recordings_of_all_parts())
    silent = [dataclasses.replace(part, said=[[]] * len(part)) for part in (data.train, data.test)]
    faulty = dataclasses.replace(data, train=silent[0], test=silent[1])
    faults = TASKS["transcription"].check(faulty)
    assert [fault.split(":")[0] for fault in faults] == [
        "nothing is said in the train part",
        "nothing is said in the test part",
    ]


@pytest.mark.parametrize("command", ["bundles", "train"])
def test_a_name_that_no_bundle_can_have_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    write_recipe(tmp_path)
    own = ["--train", str(tmp_path / "train.npz"), "--test", str(tmp_path / "test.npz")]
    recipe = ["digits-gru"] if command == "bundles" else []
    with pytest.raises(SystemExit):
        main([command, *recipe, *own, "--name", "my reviews", "--run-dir", str(tmp_path / "runs")])
    assert "'my reviews' can't be a bundle's name: it has letters" in capsys.readouterr().err
    (tmp_path / "my reviews.toml").write_text((tmp_path / "peaks-rnn.toml").read_text())
    with pytest.raises(ValueError, match=r"name: .*'my reviews' can't be a bundle's name"):
        read_recipe(str(tmp_path / "my reviews.toml"))


@pytest.mark.parametrize("option", ["--run-dir", "--repository"])
def test_a_folder_that_can_not_be_written_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    write_recipe(tmp_path)
    folders = {"--run-dir": str(tmp_path / "runs"), "--repository": str(tmp_path / "bundles")}
    folders[option] = write(tmp_path / "file", "") + "/in"
    command = ["train", "--train", str(tmp_path / "train.npz"), "--name", "peaks", "--steps", "1"]
    command += ["--test", str(tmp_path / "test.npz"), "--family", "rnn", "--hidden-size", "8"]
    with pytest.raises(SystemExit):
        main(command + [word for pair in folders.items() for word in pair])
    said = capsys.readouterr()
    assert "can't be written to: Not a directory" in said.err
    assert "training begins" not in said.out


def test_a_disk_without_room_is_refused(refused: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.rehearsal.SPARE_BYTES", 10**18)
    with pytest.raises(ValueError, match=r"a run needs up to \d+ MB there, \d+ MB are free"):
        train_run(make_run(steps=1), make_dataset(30), refused / "run")


def test_a_training_that_diverges_says_so(tmp_path: Path) -> None:
    run = make_run("rnn", learning_rate=1e20, clip_norm=1e30, steps=20)
    with pytest.raises(ValueError, match="the training diverged: after step 10"):
        train_run(run, make_dataset(), tmp_path)


def test_any_labels_can_be_drawn(tmp_path: Path) -> None:
    labels = ["$a_$_$", *(f"class {n}" for n in range(600))]
    draw_confusion(tmp_path, np.eye(2, len(labels), dtype=int).tolist(), labels)
