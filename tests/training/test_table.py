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
        "left_out_speaker": {
            "speaker": "theo",
            "accuracy": 0.8,
            "baselines": {"logistic regression": 0.4},
        },
        "baselines": {"logistic regression": 0.93},
        "parameters": 123_456,
    }
    return metrics | changes


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for family in ("gru", "rnn"):
        folder = tmp_path / "repository" / f"digits-{family}" / "1"
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps(make_metrics(family)))
        variant = {"test_accuracy": 0.97, "graph_bytes": 128_000, "speed": {"relative": 1.25}}
        variants = {"int8": variant} if family == "gru" else {}
        (folder / "model.json").write_text(
            json.dumps({"graph_bytes": 512_000, "variants": variants})
        )
    return tmp_path / "repository"


@pytest.fixture
def latencies(tmp_path: Path) -> Path:
    path = tmp_path / "families.json"
    times = {"latency_ms_at_length_quantile_0.5": {"median": 0.456}}
    path.write_text(json.dumps({"models": {"digits-gru": times, "digits-rnn": times}}))
    return path


def test_a_row_has_the_figures_of_its_bundle(repository: Path, latencies: Path) -> None:
    rows = families_table(repository, latencies).splitlines()
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
        "97.0 %, 128 kB, 1.25x",
        "0.46 ms",
        "50 s",
    ]
    assert " 512 kB | none |" in rows[2]  # it has no variant
    assert len({row.count("|") for row in rows}) == 1


def test_only_what_is_between_the_markers_changes(
    repository: Path, latencies: Path, tmp_path: Path
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert not table_is_current(readme, repository, latencies)
    write_table(readme, repository, latencies)
    assert (
        readme.read_text()
        == f"before\n{BEGIN}\n{families_table(repository, latencies)}{END}\nafter\n"
    )
    assert table_is_current(readme, repository, latencies)


def test_a_stale_table_fails_the_check(repository: Path, latencies: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN}\n{END}\n")
    command = ["table", "--repository", str(repository), "--readme", str(readme)]
    command += ["--latencies", str(latencies)]
    main(command)
    main([*command, "--check"])
    path = repository / "digits-rnn" / "1" / "metrics.json"
    path.write_text(json.dumps(make_metrics("rnn", parameters=1)))
    with pytest.raises(SystemExit, match="out of date"):
        main([*command, "--check"])
    readme.write_text("no markers\n")
    with pytest.raises(SystemExit, match="families:begin"):
        main([*command, "--check"])


def test_a_readme_without_markers_is_refused(
    repository: Path, latencies: Path, tmp_path: Path
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"{END}\n{BEGIN}\n")
    with pytest.raises(ValueError, match="families:begin"):
        write_table(readme, repository, latencies)
