"""Families side by side on one problem: quality, size, speed and training time, over seeds.

Each run is a process of its own and can be stopped and started at will, as all runs by recipes.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from matplotlib.figure import Figure

from models import FAMILIES
from service.manifest import GRAPH_FILE, Manifest, read_manifest
from training.campaign import choose_run, train_seeds
from training.export.bundle import export_run
from training.export.variant import cpu_name
from training.recipe_file import RecipeFile
from training.run import finished_metrics
from training.tasks import TASKS

BATCH_SIZES = (1, 32)
BUDGET_S = 1.0  # to measure one graph at one size
TABLE_FILE, RESULTS_FILE, PICTURE_FILE = "comparison.md", "comparison.json", "comparison.png"


@dataclasses.dataclass(frozen=True)
class Compared:
    """What one family reached."""

    family: str
    metric: str
    higher_is_better: bool
    seeds: list[float]
    """The chief metric of each seed, on the test part."""
    parameters: int
    graph_bytes: int
    latency_ms: dict[int, float]
    """Of a sequence of median length, by the batch that it runs in; one thread, in onnxruntime."""
    train_cpu_s: float
    """Mean of the seeds."""

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return statistics.mean(self.seeds)


def compare(
    recipe: RecipeFile, families: list[str], seeds: int, folder: Path, jobs: int
) -> list[Compared]:
    """Train each family on a recipe's data, with the family's own sizes, and measure it.

    Args:
        recipe: Says the task and the data, and how to train; its family and sizes are left.
        families: To compare.
        seeds: How many of each, from 0 on.
        folder: For the runs, the bundles, and what is written: a table, the figures, a picture.
        jobs: Runs at a time.
    Raises:
        SystemExit: A run failed.
        ValueError: The task has no such family.
    """
    problem = recipe.name.removesuffix(f"-{recipe.family}")
    recipes = {
        family: recipe.model_copy(
            update={
                "name": f"{problem}-{family}",
                "family": family,
                "seeds": list(range(seeds)),
                "architecture": recipe.architecture if family == recipe.family else {},
                "also": {},
            }
        )
        for family in families
    }
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for family, each in recipes.items():
        paths[family] = folder / f"{each.name}.json"
        paths[family].write_text(each.model_dump_json(indent=1))
    train_seeds({str(paths[family]): recipes[family] for family in families}, folder, jobs)
    compared = [_measure(recipes[family], folder) for family in families]
    (folder / RESULTS_FILE).write_text(
        json.dumps({"cpu": cpu_name(), "families": [dataclasses.asdict(it) for it in compared]})
    )
    (folder / TABLE_FILE).write_text(table_of(compared))
    draw(compared, folder / PICTURE_FILE)
    return compared


def families_of(recipe: RecipeFile) -> list[str]:
    """Those that the recipe's task has for its data."""
    data = recipe.load()
    return [family for family in FAMILIES if _is_known(recipe, data, family)]


def _is_known(recipe: RecipeFile, data: Any, family: str) -> bool:
    try:
        TASKS[recipe.task].default_architecture(family, data)
    except ValueError:
        return False
    return True


def table_of(compared: list[Compared]) -> str:
    """The comparison as Markdown, the best family first."""
    first = compared[0]
    order = sorted(compared, key=lambda it: it.mean, reverse=first.higher_is_better)
    lines = [
        f"| family | test {first.metric.replace('_', ' ')}, mean ± deviation (each seed) "
        "| parameters | graph | ms a sequence, alone | in a batch of 32 | training |",
        "|---|---|---|---|---|---|---|",
    ]
    for it in order:
        spread = statistics.stdev(it.seeds) if len(it.seeds) > 1 else 0.0
        each = ", ".join(f"{value:.4f}" for value in it.seeds)
        latencies = " | ".join(f"{it.latency_ms[size]:.3f}" for size in BATCH_SIZES)
        lines.append(
            f"| {it.family} | {it.mean:.4f} ± {spread:.4f} ({each}) | {it.parameters:,} "
            f"| {it.graph_bytes / 1_000:,.0f} kB | {latencies} | {it.train_cpu_s:.0f} s |"
        )
    return "\n".join(lines) + "\n"


def pareto(compared: list[Compared]) -> list[Compared]:
    """Those that no other is both better and faster than, the fastest first."""
    sign = 1 if compared[0].higher_is_better else -1
    front: list[Compared] = []
    for it in sorted(compared, key=lambda it: (it.latency_ms[1], -sign * it.mean)):
        if not front or sign * it.mean > sign * front[-1].mean:
            front.append(it)
    return front


def draw(compared: list[Compared], path: Path) -> None:
    """Quality against the time of a sequence alone, with the seeds' spread and the Pareto front."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for it in compared:
        low, high = it.mean - min(it.seeds), max(it.seeds) - it.mean
        axes.errorbar([it.latency_ms[1]], [it.mean], yerr=[[low], [high]], fmt="o", capsize=3)
        axes.annotate(it.family, (it.latency_ms[1], it.mean), (5, 5), textcoords="offset points")
    front = pareto(compared)
    axes.plot([it.latency_ms[1] for it in front], [it.mean for it in front], linestyle=":")
    axes.set(
        xlabel="ms a sequence of median length, alone",
        ylabel=f"test {compared[0].metric.replace('_', ' ')}",
    )
    figure.savefig(path, dpi=120)


def _measure(recipe: RecipeFile, folder: Path) -> Compared:
    chosen = choose_run(folder, recipe)
    metrics = finished_metrics(chosen)
    assert metrics is not None, "what was chosen is finished"
    bundle = export_run(chosen, folder / "repository", replace=True)
    manifest = read_manifest(bundle)
    return Compared(
        family=recipe.family,
        metric=metrics["metric"],
        higher_is_better=metrics["higher_is_better"],
        seeds=list(metrics["seeds"].values()),
        parameters=metrics["parameters"],
        graph_bytes=manifest.graph_bytes,
        latency_ms={size: _latency_ms(bundle, manifest, size) for size in BATCH_SIZES},
        train_cpu_s=statistics.mean(metrics["seeds_cpu_s"].values()),
    )


def _latency_ms(bundle: Path, manifest: Manifest, batch_size: int) -> float:
    """CPU ms of a sequence of median length in a batch of so many like it; the median of runs."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        bundle / GRAPH_FILE, options, providers=["CPUExecutionProvider"]
    )
    num_steps = max(1, round(manifest.profile.length_quantiles["0.5"]))
    feed = _feed(manifest, batch_size, num_steps)
    taken_s: list[float] = []
    stop_s = time.perf_counter() + BUDGET_S
    while len(taken_s) < 3 or time.perf_counter() < stop_s:
        started_s = time.thread_time()
        session.run(None, feed)
        taken_s.append(time.thread_time() - started_s)
    return 1_000 * statistics.median(taken_s) / batch_size


def _feed(manifest: Manifest, batch_size: int, num_steps: int) -> dict[str, Any]:
    inputs = manifest.inputs
    shape = (batch_size, num_steps, *inputs.step_shape)
    dtype = np.float32 if inputs.features else np.int64
    return {
        inputs.name: np.ones(shape, dtype),
        inputs.lengths: np.full(batch_size, num_steps, np.int64),
        **{
            pair.input: np.full((batch_size, *pair.shape), pair.initial, np.float32)
            for pair in manifest.state
        },
    }
