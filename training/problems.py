"""What the bundles reached on each problem: README's table of problems and families, and each
problem's own in docs/models.md. All figures are out of the bundles' `metrics.json`.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from models import FAMILIES
from service.manifest import GRAPH_FILE, MANIFEST_FILE, beaten_by
from training.run import METRICS_FILE

SHARES = ("rate", "accuracy", "f1", "match", "coverage", "precision", "recall")
"""What is in the names of metrics that are shares, shown as per cents."""


@dataclasses.dataclass(frozen=True)
class Trained:
    """A bundle with its metrics."""

    folder: Path
    metrics: dict[str, Any]
    manifest: dict[str, Any]

    @property
    def family(self) -> str:
        """That it is of."""
        return str(self.metrics["family"])

    @property
    def problem(self) -> str:
        """What it solves: its name without the family's."""
        return str(self.metrics["name"]).removesuffix(f"-{self.family}")

    @property
    def seeds(self) -> list[float]:
        """The chief metric of each seed."""
        return list(self.metrics["seeds"].values())

    @property
    def graph_bytes(self) -> int:
        """Of all its graphs."""
        return sum(path.stat().st_size for path in self.folder.glob("*.onnx") if _is_fp32(path))


def read_trained(repository: Path) -> list[Trained]:
    """The bundles that have metrics, by name."""
    return [
        Trained(
            path.parent,
            json.loads(path.read_text()),
            json.loads((path.parent / MANIFEST_FILE).read_text()),
        )
        for path in sorted(repository.glob(f"*/1/{METRICS_FILE}"))
    ]


def problems_table(repository: Path) -> str:
    """A row a problem, a column a family; in each place the chief metric, the mean of its seeds."""
    problems = _by_problem(read_trained(repository))
    families = [
        family
        for family in FAMILIES
        if any(it.family == family for group in problems.values() for it in group)
    ]
    lines = [
        f"| problem | task | test metric | to beat | {' | '.join(families)} |",
        "|---|---|---|---|" + "---|" * len(families),
    ]
    for problem, group in problems.items():
        metrics = group[0].metrics
        found = {it.family: _mean(it) for it in group}
        beaten = {it.family for it in group if _beaten_by(it)}
        values = [found[family][0] for family in found]
        best = max(values) if metrics["higher_is_better"] else min(values)
        places = []
        for family in families:
            if family not in found:
                places.append("")
                continue
            value, text = found[family]
            text += " (*not better*)" if family in beaten else ""
            places.append(f"**{text}**" if value == best and len(found) > 1 else text)
        lines.append(
            f"| {problem} | {metrics['task']} | {_named(metrics)} | {_to_beat(metrics)} "
            f"| {' | '.join(places)} |"
        )
    return "\n".join(lines) + "\n"


def problem_table(repository: Path, problem: str) -> str:
    """A problem's bundles, a row each, and its baselines.

    Raises:
        ValueError: No bundle is of it.
    """
    group = _by_problem(read_trained(repository)).get(problem)
    if group is None:
        raise ValueError(f"{repository} holds no bundle of {problem}")
    metrics = group[0].metrics
    chief = metrics["metric"]
    others = [
        name
        for name, value in metrics["test"].items()
        if isinstance(value, int | float) and name not in (chief, "loss")
    ]
    lines = [
        f"| model | {_named(metrics)} | each seed | "
        + "".join(f"{name.replace('_', ' ')} | " for name in others)
        + "parameters | graphs | training |",
        "|---|---|---|" + "---|" * (len(others) + 3),
    ]
    for it in group:
        seeds = ", ".join(_shown(chief, value) for value in it.seeds)
        better = _beaten_by(it)
        reached = _mean(it)[1] + (f" **no better than {' or '.join(better)}**" if better else "")
        rest = "".join(
            f"{_shown(name, it.metrics['test'][name])} | " if name in it.metrics["test"] else " | "
            for name in others
        )
        lines.append(
            f"| `{it.metrics['name']}` | {reached} | {seeds} | {rest}"
            f"{it.metrics['parameters']:,} | {it.graph_bytes / 1_000:,.0f} kB | {_cpu_s(it)} |"
        )
    for name, value in metrics["baselines"].items():
        lines.append(f"| *{name}* | {_shown(chief, value)} |" + " |" * (len(others) + 4))
    return "\n".join(lines) + "\n"


def _by_problem(trained: Iterable[Trained]) -> dict[str, list[Trained]]:
    """The bundles of each problem, in the order of the families."""
    order = {family: place for place, family in enumerate(FAMILIES)}
    found: dict[str, list[Trained]] = {}
    for it in trained:
        found.setdefault(it.problem, []).append(it)
    for group in found.values():
        group.sort(key=lambda it: order.get(it.family, len(order)))
    return found


def _mean(it: Trained) -> tuple[float, str]:
    """Of the chief metric over the seeds, as it is and as it is shown."""
    value = statistics.mean(it.seeds)
    text = _shown(it.metrics["metric"], value)
    return value, f"{text} ({len(it.seeds)} seeds)" if len(it.seeds) > 1 else text


def _beaten_by(it: Trained) -> list[str]:
    """The baselines that are as good as the mean over the seeds, or better."""
    higher_is_better = it.metrics["higher_is_better"]
    return beaten_by(_mean(it)[0], it.metrics["baselines"], higher_is_better=higher_is_better)


def _named(metrics: dict[str, Any]) -> str:
    arrow = "↑" if metrics["higher_is_better"] else "↓"
    return f"{metrics['metric'].replace('_', ' ')} {arrow}"


def _to_beat(metrics: dict[str, Any]) -> str:
    """The best of the baselines, and which it is."""
    baselines = metrics["baselines"]
    if not baselines:
        return ""
    choose = max if metrics["higher_is_better"] else min
    name = choose(baselines, key=baselines.__getitem__)
    return f"{_shown(metrics['metric'], baselines[name])} ({name})"


def _shown(metric: str, value: float) -> str:
    if any(part in metric for part in SHARES):
        return f"{100 * value:.1f} %"
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.4g}"


def _cpu_s(it: Trained) -> str:
    seconds = it.metrics.get("seeds_cpu_s", {"0": it.metrics["cpu_s"]}).values()
    return f"{statistics.mean(seconds):.0f} s"


def _is_fp32(path: Path) -> bool:
    return path.name == GRAPH_FILE or "int8" not in path.name
