"""Bundles by their recipes: every seed trained, the best exported.

Every run is a process of its own with one thread. A run that is finished is not run again, and a
run that was killed goes on, so this can be stopped and started at will.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from training.card import CARD_FILE, Card
from training.data.frames.dataset import Dataset
from training.export.bundle import export_run
from training.export.variant import add_variant, describe, evidence_of
from training.processes import CommandFailedError, run_all
from training.recipe_file import RecipeFile, read_recipe
from training.rehearsal import check_writable
from training.run import finished_metrics, write_metrics

BUNDLE_VERSION = "1"


def train_bundles(names: list[str], run_dir: Path, repository: Path, jobs: int) -> None:
    """Train what is not trained yet, then export each bundle's best seed by *validation* score,
    and its int8 variant where that passes its gates.

    Args:
        names: Of the recipes, or their files.
        run_dir: Where the runs are.
        repository: Where the bundles go.
        jobs: Runs at a time.
    Raises:
        SystemExit: A run failed; what it said of it is printed.
        ValueError: A recipe is not as it should be, or the repository can't be written to.
        ExportError: A gate failed.
    """
    recipes = {name: read_recipe(name) for name in names}
    check_writable(repository)
    train_seeds(recipes, run_dir, jobs)
    for recipe in recipes.values():
        folder = export_run(choose_run(run_dir, recipe), repository, BUNDLE_VERSION, replace=True)
        data: Any = recipe.load()
        if isinstance(data, Dataset):
            print(f"{folder}: {describe(add_variant(folder, evidence_of(data)))}")
        else:
            print(folder)


def train_seeds(recipes: dict[str, RecipeFile], run_dir: Path, jobs: int) -> None:
    """Train what is not trained yet of these recipes, by name or file.

    Raises:
        SystemExit: A run failed; what it said of it is printed.
    """
    commands = [
        _command(run_dir, name, seed, also)
        for name, recipe in recipes.items()
        for seed, also in [
            *((seed, None) for seed in recipe.seeds),
            *((recipe.seeds[0], also) for also in recipe.also),
        ]
    ]
    # one thread from the start: BLAS makes its threads when it is loaded
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        run_all(commands, jobs, environment)
    except CommandFailedError as error:
        sys.exit(str(error))


def _command(run_dir: Path, name: str, seed: int, also: str | None) -> list[str]:
    """One run in a process of its own."""
    command = [sys.executable, "-m", "training", "run", name]
    command += ["--seed", str(seed), "--run-dir", str(run_dir), "--resume"]
    return [*command, "--also", also] if also else command


def choose_run(run_dir: Path, recipe: RecipeFile) -> Path:
    """The run to export; its metrics and card then tell of the other runs too."""
    folders = {seed: run_dir / recipe.name / f"seed-{seed}" for seed in recipe.seeds}
    runs = {seed: _metrics(folder) for seed, folder in folders.items()}
    best = max(recipe.seeds, key=lambda seed: _validation_score(runs[seed]))
    metric = runs[best]["metric"]
    seeds = {str(seed): metrics["test"][metric] for seed, metrics in runs.items()}
    metrics = runs[best] | {
        "seeds": seeds,
        "seeds_cpu_s": {str(seed): metrics["cpu_s"] for seed, metrics in runs.items()},
        **{also: _beside(run_dir, recipe, also) for also in recipe.also},
    }
    write_metrics(folders[best], metrics)
    card_path = folders[best] / CARD_FILE
    card = Card.model_validate_json(card_path.read_text())
    quality = card.quality.model_copy(update={"seeds": seeds})
    card = card.model_copy(update={"quality": quality})
    card_path.write_text(card.model_dump_json(indent=2) + "\n")
    return folders[best]


def _beside(run_dir: Path, recipe: RecipeFile, also: str) -> dict[str, Any]:
    """What the same recipe reached on other data."""
    name = f"{recipe.name}-{also.replace('_', '-')}"
    metrics = _metrics(run_dir / name / f"seed-{recipe.seeds[0]}")
    return {
        **recipe.also[also],
        metrics["metric"]: metrics["test"][metrics["metric"]],
        "baselines": metrics["baselines"],
        "sequences": metrics["sequences"]["test"],
    }


def _metrics(folder: Path) -> dict[str, Any]:
    metrics = finished_metrics(folder)
    if metrics is None:
        raise FileNotFoundError(f"no finished run in {folder}")
    return metrics


def _validation_score(metrics: dict[str, Any]) -> tuple[float, float]:
    """The chief metric first, then the lower loss, as within a run."""
    validation = metrics["validation"]
    sign = 1 if metrics["higher_is_better"] else -1
    return sign * validation[metrics["metric"]], -validation.get("loss", 0.0)
