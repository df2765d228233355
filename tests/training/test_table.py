"""README's table says what the bundles' metrics say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.__main__ import main
from training.table import BEGIN, END, families_table, table_is_current, write_table

ROOT = Path(__file__).parents[2]


def make_metrics(family: str, **changes: object) -> dict[str, object]:
    metrics: dict[str, object] = {
        "name": f"digits-{family}",
        "seeds": {"0": 0.97, "1": 0.98, "2": 0.99},
        "seeds_cpu_s": {"0": 40.0, "1": 50.0, "2": 60.0},
        "left_out_speaker": {"speaker": "theo", "accuracy": 0.8, "baseline_accuracy": 0.4},
        "baseline_accuracy": 0.93,
        "parameters": 123_456,
        "graph": {"bytes": 512_000, "latency_ms": 0.456},
    }
    return metrics | changes


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for family in ("gru", "rnn"):
        folder = tmp_path / "repository" / f"digits-{family}" / "1"
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps(make_metrics(family)))
    return tmp_path / "repository"


def test_a_row_has_the_figures_of_its_bundle(repository: Path) -> None:
    rows = families_table(repository).splitlines()
    assert [row.split("|")[1].strip() for row in rows[2:]] == [
        "`digits-rnn`",
        "`digits-gru`",
        "*logistic regression*",
    ]
    cells = [cell.strip() for cell in rows[3].strip("|").split("|")]
    assert cells == [
        "`digits-gru`",
        "98.0 % (97.0 %, 98.0 %, 99.0 %)",
        "80.0 %",
        "123,456",
        "512 kB",
        "0.46 ms",
        "50 s",
    ]
    assert len({row.count("|") for row in rows}) == 1


def test_only_what_is_between_the_markers_changes(repository: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert not table_is_current(readme, repository)
    write_table(readme, repository)
    assert readme.read_text() == f"before\n{BEGIN}\n{families_table(repository)}{END}\nafter\n"
    assert table_is_current(readme, repository)


def test_a_stale_table_fails_the_check(repository: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN}\n{END}\n")
    command = ["table", "--repository", str(repository), "--readme", str(readme)]
    main(command)
    main([*command, "--check"])
    path = repository / "digits-rnn" / "1" / "metrics.json"
    path.write_text(json.dumps(make_metrics("rnn", parameters=1)))
    with pytest.raises(SystemExit, match="out of date"):
        main([*command, "--check"])
    readme.write_text("no markers\n")
    with pytest.raises(SystemExit, match="families:begin"):
        main([*command, "--check"])


def test_a_readme_without_markers_is_refused(repository: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"{END}\n{BEGIN}\n")
    with pytest.raises(ValueError, match="families:begin"):
        write_table(readme, repository)
