"""README's table says what the bundles' metrics say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.__main__ import main
from training.problems import problem_table, problems_table
from training.table import families_table, tables_are_current, write_tables

ROOT = Path(__file__).parents[2]
SEEDS = {"0": 0.97, "1": 0.98, "2": 0.99}


def make_metrics(family: str, **changes: object) -> dict[str, object]:
    metrics: dict[str, object] = {
        "name": f"digits-{family}",
        "task": "classification",
        "family": family,
        "metric": "accuracy",
        "higher_is_better": True,
        "test": {"accuracy": 0.98, "loss": 0.1, "macro_f1": 0.965, "confusion": [[1]]},
        "cpu_s": 50.0,
        "seeds": SEEDS,
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
    for family, seeds in {"gru": {"0": 0.97}, "rnn": SEEDS}.items():
        folder = tmp_path / "repository" / f"digits-{family}" / "1"
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps(make_metrics(family, seeds=seeds)))
        (folder / "model.onnx").write_bytes(bytes(1_800))
        (folder / "model.int8.onnx").write_bytes(bytes(900))
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
        "97.0 % (97.0 %)",
        "80.0 %",
        "123,456",
        "512 kB",
        "97.0 %, 128 kB, 1.25x",
        "0.46 ms",
        "50 s",
    ]
    assert " 512 kB | none |" in rows[2]  # it has no variant
    assert len({row.count("|") for row in rows}) == 1


def markers(name: str) -> str:
    return f"<!-- {name}:begin -->\nold\n<!-- {name}:end -->\n"


@pytest.fixture
def readme(tmp_path: Path) -> Path:
    path = tmp_path / "README.md"
    path.write_text(f"before\n{markers('families')}between\n{markers('problems')}after\n")
    return path


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "models.md").write_text(f"before\n{markers('problem digits')}after\n")
    (folder / "other.md").write_text("no table\n")
    return folder


def test_only_what_is_between_the_markers_changes(
    readme: Path, docs: Path, repository: Path, latencies: Path
) -> None:
    assert not tables_are_current(readme, docs, repository, latencies)
    write_tables(readme, docs, repository, latencies)
    assert readme.read_text() == (
        f"before\n<!-- families:begin -->\n{families_table(repository, latencies)}"
        f"<!-- families:end -->\nbetween\n<!-- problems:begin -->\n{problems_table(repository)}"
        "<!-- problems:end -->\nafter\n"
    )
    assert (docs / "models.md").read_text() == (
        f"before\n<!-- problem digits:begin -->\n{problem_table(repository, 'digits')}"
        "<!-- problem digits:end -->\nafter\n"
    )
    assert tables_are_current(readme, docs, repository, latencies)


def test_a_problem_has_a_column_a_family_and_its_best_is_bold(repository: Path) -> None:
    header, _, row = problems_table(repository).splitlines()
    assert header == "| problem | task | test metric | to beat | rnn | gru |"
    assert row == (
        "| digits | classification | accuracy ↑ | 93.0 % (logistic regression) "
        "| **98.0 % (3 seeds)** | 97.0 % |"
    )


def test_a_problem_has_a_row_a_model_and_its_baselines(repository: Path) -> None:
    header, _, rnn, gru, baseline = problem_table(repository, "digits").splitlines()
    assert header == (
        "| model | accuracy ↑ | each seed | macro f1 | parameters | graphs | training |"
    )
    assert rnn == (
        "| `digits-rnn` | 98.0 % (3 seeds) | 97.0 %, 98.0 %, 99.0 % | 96.5 % | 123,456 | 2 kB "
        "| 50 s |"
    )
    assert gru.startswith("| `digits-gru` | 97.0 % | 97.0 % | 96.5 % |")
    assert baseline == "| *logistic regression* | 93.0 % | | | | | |"
    with pytest.raises(ValueError, match="no bundle of poetry"):
        problem_table(repository, "poetry")


def test_a_model_that_something_simpler_equals_is_marked(repository: Path) -> None:
    path = repository / "digits-gru" / "1" / "metrics.json"
    baselines = {"logistic regression": 0.97, "guessing": 0.1}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"baselines": baselines}))
    *_, row = problems_table(repository).splitlines()
    assert row.endswith("| **98.0 % (3 seeds)** | 97.0 % (*not better*) |")
    _, _, _, gru, _ = problem_table(repository, "digits").splitlines()
    assert gru.startswith("| `digits-gru` | 97.0 % **no better than logistic regression** |")


def test_a_stale_table_fails_the_check(
    readme: Path, docs: Path, repository: Path, latencies: Path
) -> None:
    command = ["table", "--repository", str(repository), "--readme", str(readme)]
    command += ["--docs", str(docs), "--latencies", str(latencies)]
    main(command)
    main([*command, "--check"])
    path = repository / "digits-rnn" / "1" / "metrics.json"
    path.write_text(json.dumps(make_metrics("rnn", parameters=1)))
    with pytest.raises(SystemExit, match="out of date"):
        main([*command, "--check"])
    readme.write_text("no markers\n")
    with pytest.raises(SystemExit, match="families:begin"):
        main([*command, "--check"])


def test_markers_in_the_wrong_order_are_refused(
    readme: Path, docs: Path, repository: Path, latencies: Path
) -> None:
    readme.write_text("<!-- families:end -->\n<!-- families:begin -->\n")
    with pytest.raises(ValueError, match="families:begin"):
        write_tables(readme, docs, repository, latencies)
