"""Families side by side: what is written, and that it is what was trained and measured."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from tests.training.made import write_recipe
from training.__main__ import main
from training.compare import Compared, families_of, pareto, table_of
from training.recipe_file import read_recipe

FAST = Compared("rnn", "accuracy", True, [0.9, 0.92], 1_000, 8_000, {1: 0.5, 32: 0.1}, 10.0)
BETTER = dataclasses.replace(FAST, family="gru", seeds=[0.95, 0.97], latency_ms={1: 0.7, 32: 0.2})
WORSE = dataclasses.replace(FAST, family="lstm", seeds=[0.94, 0.94], latency_ms={1: 0.9, 32: 0.3})


def test_the_best_comes_first_with_its_spread() -> None:
    _, _, *rows = table_of([FAST, BETTER, WORSE]).splitlines()
    assert [row.split("|")[1].strip() for row in rows] == ["gru", "lstm", "rnn"]
    assert "| 0.9600 ± 0.0141 (0.9500, 0.9700) | 1,000 | 8 kB | 0.700 | 0.200 | 10 s |" in rows[0]


def test_the_front_is_of_those_that_no_other_beats_in_both() -> None:
    assert pareto([WORSE, FAST, BETTER]) == [FAST, BETTER]
    errors = [dataclasses.replace(it, higher_is_better=False) for it in (WORSE, FAST, BETTER)]
    assert [it.family for it in pareto(errors)] == ["rnn"]


@pytest.mark.deep
def test_a_family_is_trained_exported_and_measured(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    folder = tmp_path / "compared"
    command = ["compare", str(recipe), "--families", "rnn", "--seeds", "1"]
    main([*command, "--folder", str(folder)])
    (found,) = json.loads((folder / "comparison.json").read_text())["families"]
    metrics = json.loads((folder / "peaks-rnn" / "seed-0" / "metrics.json").read_text())
    assert found["seeds"] == [metrics["test"]["accuracy"]]
    assert found["parameters"] == metrics["parameters"]
    assert found["latency_ms"]["1"] > 0
    graph = folder / "repository" / "peaks-rnn" / "1" / "model.onnx"
    assert found["graph_bytes"] == graph.stat().st_size
    assert (folder / "comparison.png").stat().st_size > 5_000
    assert "| rnn |" in (folder / "comparison.md").read_text()


@pytest.mark.parametrize(
    ("task", "content", "families"),
    [
        (
            "classification",
            "@univariate true\n@classLabel true a b\n@data\n1,2,3:a\n3,2,1:b\n",
            ["rnn", "lstm", "gru", "birnn", "attention", "transformer", "hybrid"],
        ),
        ("generation", "to be or not to be\n" * 9, ["rnn", "lstm", "gru", "transformer"]),
    ],
)
def test_a_task_says_which_families_it_has(
    tmp_path: Path, task: str, content: str, families: list[str]
) -> None:
    suffix = "ts" if task == "classification" else "txt"
    own = tmp_path / f"own.{suffix}"
    own.write_text(content)
    recipe = tmp_path / "own.json"
    data = {"train": str(own), "test": str(own)}
    recipe.write_text(json.dumps({"task": task, "family": "rnn", "data": data}))
    assert families_of(read_recipe(str(recipe))) == families


def test_none_of_a_family_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["compare", "digits-rnn", "--seeds", "0"])
    assert "argument --seeds: 0 is not above 0" in capsys.readouterr().err
