"""A search tries settings near the recipe's own, can go on later, and never sees the test part."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.made import write_recipe
from training.__main__ import main
from training.recipe_file import read_recipe
from training.search import search


def test_a_search_goes_on_and_leaves_a_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("training.tasks.classification.task.ClassificationTask.measure", None)
    path = write_recipe(tmp_path)
    main(["search", str(path), "--trials", "2", "--folder", str(tmp_path / "found")])
    recipe = read_recipe(str(path))
    search(recipe, 1, tmp_path / "found" / recipe.name)
    said = capsys.readouterr().out
    own = recipe.run(recipe.load(), 0).recipe.learning_rate
    assert "trial 0: validation" in said
    assert f"'learning_rate': {own}, 'width': 1.0" in said
    assert "trial 2: validation" in said
    found = read_recipe(str(tmp_path / "found" / recipe.name / f"{recipe.name}.json"))
    run = found.run(found.load(), 0)
    assert own / 5 <= run.recipe.learning_rate <= own * 5
    assert run.architecture["hidden_size"] % 8 == 0
    assert 0 <= run.architecture["dropout"] <= 0.5
    assert found.data == recipe.data


def test_no_trial_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["search", "digits-rnn", "--trials", "0"])
    assert "argument --trials: 0 is not above 0" in capsys.readouterr().err
