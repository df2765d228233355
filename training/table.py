"""The tables of README and docs: bundles' `metrics.json`, and measured latencies."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import Any

from models import FAMILIES
from service.manifest import MANIFEST_FILE
from training.long_range.report import table_of
from training.problems import problem_table, problems_table
from training.run import METRICS_FILE

LONG_RANGE = "<!-- long-range:begin -->"
LONG_RANGE_RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "long_range.json"
PROBLEM = re.compile("<!-- problem (.+):begin -->")
HEADER = (
    "| bundle | test accuracy, mean of {seeds} seeds (each) | {speaker} never heard | "
    "parameters | graph | int8: accuracy, graph, speed | one request | training |\n"
    "|---|---|---|---|---|---|---|---|\n"
)


def families_table(repository: Path, latencies: Path) -> str:
    """The table, a row a digits bundle and one for the baseline, in the order of the families.

    Raises:
        ValueError: There are no digits bundles with metrics.
    """
    paths = [repository / f"digits-{family}" / "1" / METRICS_FILE for family in FAMILIES]
    bundles = {path: json.loads(path.read_text()) for path in paths if path.exists()}
    if not bundles:
        raise ValueError(f"{repository} holds no digits bundle with {METRICS_FILE}")
    first = next(iter(bundles.values()))
    models = json.loads(latencies.read_text())["models"]
    left_out = first["left_out_speaker"]
    header = HEADER.format(seeds=len(first["seeds"]), speaker=f"speaker {left_out['speaker']}")
    name = "logistic regression"
    baseline = (
        f"| *{name}* | {_percent(first['baselines'][name])} "
        f"| {_percent(left_out['baselines'][name])} | | | | | |\n"
    )
    rows = [
        _row(
            metrics, json.loads((path.parent / MANIFEST_FILE).read_text()), models[metrics["name"]]
        )
        for path, metrics in bundles.items()
    ]
    return header + "".join(rows) + baseline


def write_tables(readme: Path, docs: Path, repository: Path, latencies: Path) -> None:
    """Put the tables between the markers of README and of every document in a folder.

    Raises:
        ValueError: Markers are missing, or name what there is not.
    """
    for path, text in _with_tables(readme, docs, repository, latencies).items():
        path.write_text(text)


def tables_are_current(readme: Path, docs: Path, repository: Path, latencies: Path) -> bool:
    """Whether `write_tables` would change nothing."""
    texts = _with_tables(readme, docs, repository, latencies)
    return all(path.read_text() == text for path, text in texts.items())


def _with_tables(readme: Path, docs: Path, repository: Path, latencies: Path) -> dict[Path, str]:
    """What the documents should say."""
    text = _put(readme, readme.read_text(), "families", families_table(repository, latencies))
    text = _put(readme, text, "problems", problems_table(repository))
    texts = {readme: text}
    for path in sorted(docs.glob("*.md")):
        about = path.read_text()
        for problem in PROBLEM.findall(about):
            about = _put(path, about, f"problem {problem}", problem_table(repository, problem))
        if LONG_RANGE in about:
            about = _put(path, about, "long-range", table_of(LONG_RANGE_RESULTS))
        texts[path] = about
    return texts


def _put(path: Path, text: str, name: str, table: str) -> str:
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"{path} needs the line {begin} and after it {end}, once each")
    before, rest = text.split(begin)
    return f"{before}{begin}\n{table}{end}{rest.split(end)[1]}"


def _row(metrics: dict[str, Any], manifest: dict[str, Any], latency: dict[str, Any]) -> str:
    seeds = list(metrics["seeds"].values())
    return (
        f"| `{metrics['name']}` "
        f"| {_percent(statistics.mean(seeds))} ({', '.join(map(_percent, seeds))}) "
        f"| {_percent(metrics['left_out_speaker']['accuracy'])} "
        f"| {metrics['parameters']:,} | {_size(manifest)} | {_int8(manifest)} "
        f"| {latency['latency_ms_at_length_quantile_0.5']['median']:.2f} ms "
        f"| {statistics.mean(metrics['seeds_cpu_s'].values()):.0f} s |\n"
    )


def _int8(manifest: dict[str, Any]) -> str:
    variant = manifest["variants"].get("int8")
    if variant is None:
        return "none"
    accuracy = _percent(variant["test_accuracy"])
    return f"{accuracy}, {_size(variant)}, {variant['speed']['relative']:.2f}x"


def _size(graph: dict[str, Any]) -> str:
    return f"{graph['graph_bytes'] / 1_000:,.0f} kB"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
