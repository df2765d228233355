"""A run, a search and a comparison belong to the contents of their data, not to names and sizes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tests.training.made import LABELS, make_dataset, make_run, write_recipe
from training.__main__ import main
from training.data.digest import digest_of
from training.recipe_file import read_recipe
from training.run import SETTINGS_FILE, train_run
from training.search import search


def turn_labels(path: Path) -> None:
    """Give every sequence another label: same name, same number of bytes."""
    arrays = dict(np.load(path))
    size = path.stat().st_size
    turned = {"early": "late", "middle": "early", "late": "middle"}
    arrays["y"] = np.array([turned[label] for label in arrays["y"]], arrays["y"].dtype)
    np.savez(path, **arrays)
    assert path.stat().st_size == size


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_finished_run_is_not_given_for_other_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], part: str
) -> None:
    recipe = write_recipe(tmp_path)
    command = ["run", str(recipe), "--run-dir", str(tmp_path / "runs"), "--resume"]
    main(command)
    main(command)  # nothing is changed
    turn_labels(tmp_path / f"{part}.npz")
    with pytest.raises(SystemExit):
        main(command)
    folder = tmp_path / "runs" / "peaks-rnn" / "seed-0"
    said = capsys.readouterr().err
    assert f"the run in {folder} began with other data: {tmp_path / part}.npz changed since" in said
    assert "Remove that folder, or give another --run-dir" in said


def test_options_name_the_changed_file_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_recipe(tmp_path)
    files = ["--train", str(tmp_path / "train.npz"), "--test", str(tmp_path / "test.npz")]
    command = ["train", *files, "--name", "peaks", "--family", "rnn", "--hidden-size", "8"]
    command += ["--steps", "3", "--no-export", "--run-dir", str(tmp_path / "runs"), "--resume"]
    main(command)
    turn_labels(tmp_path / "train.npz")
    with pytest.raises(SystemExit):
        main(command)
    assert f"{tmp_path / 'train.npz'} changed since" in capsys.readouterr().err


def test_a_search_does_not_go_on_with_other_data_or_settings(tmp_path: Path) -> None:
    recipe = read_recipe(str(write_recipe(tmp_path)))
    search(recipe, 1, tmp_path / "found")
    other = recipe.model_copy(update={"architecture": {"hidden_size": 16, "num_layers": 1}})
    with pytest.raises(ValueError, match=r"architecture\.hidden_size was 8, now 16\. Give another"):
        search(other, 1, tmp_path / "found")
    turn_labels(tmp_path / "train.npz")
    with pytest.raises(ValueError, match=r"other data: .*train\.npz changed since"):
        search(recipe, 1, tmp_path / "found")


def test_an_unfinished_run_does_not_go_on_with_other_versions(tmp_path: Path) -> None:
    run, data = make_run(steps=3), make_dataset(30)
    metrics = train_run(run, data, tmp_path)
    path = tmp_path / SETTINGS_FILE
    settings = json.loads(path.read_text())
    settings["libraries"]["torch"] = "1.0"
    path.write_text(json.dumps(settings))
    assert train_run(run, data, tmp_path, resume=True) == metrics  # nothing is computed any more
    (tmp_path / "metrics.json").unlink()
    with pytest.raises(ValueError, match=r"libraries\.torch was 1\.0, now "):
        train_run(run, data, tmp_path, resume=True)


def test_equal_contents_have_equal_digests() -> None:
    part = make_dataset().train
    assert digest_of(part) == digest_of(make_dataset().train)
    others = [
        dataclasses.replace(part, targets=(part.targets + 1) % len(LABELS)),
        dataclasses.replace(part, sequences=[part.sequences[1], *part.sequences[1:]]),
        dataclasses.replace(part, sequences=[each.astype(np.float64) for each in part.sequences]),
        {"sequences": part.sequences},
    ]
    assert len({digest_of(each) for each in [part, *others]}) == 5
    assert digest_of([("a", "b"), ("c",)]) != digest_of([("a",), ("b", "c")])
    assert digest_of([b"ab", b""]) != digest_of([b"a", b"b"])
    with pytest.raises(TypeError, match="object has no digest"):
        digest_of(object())
