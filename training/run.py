"""One run: a data set, a family and a seed in; a folder with weights, card and metrics out."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import json
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import set_seed

from models import Architecture, SequenceModel, build
from service.manifest import Inputs, Limits, Provenance, Quality
from training.card import Card, architecture_fields, save_run
from training.data.batches import split_validation
from training.data.dataset import Dataset, SequenceSet
from training.data.profile import feature_moments, profile_of
from training.fit.baseline import baseline_accuracy
from training.fit.checkpoints import remove_checkpoints
from training.fit.loop import Trainer, make_accelerator
from training.fit.report import Reporter, draw_confusion, draw_learning_curve
from training.fit.scores import answer, full_scores
from training.recipes import Recipe

METRICS_FILE = "metrics.json"
SETTINGS_FILE = "settings.json"
LIBRARIES = ("torch", "numpy", "accelerate", "scikit-learn")


@dataclasses.dataclass(frozen=True)
class Run:
    """What decides a run's result; two runs with equal ones have equal weights."""

    name: str
    """Of the bundle it may become."""
    architecture: Architecture
    recipe: Recipe
    seed: int

    def settings(self, dataset: Dataset) -> dict[str, Any]:
        """All of it as JSON holds it, with what the data set adds."""
        settings = {
            **dataclasses.asdict(self),
            "dataset": dataset.name,
            "split": dataset.split,
            "train_sequences": len(dataset.train),
            "audio": dataset.audio.model_dump() if dataset.audio else None,
        }
        restored: dict[str, Any] = json.loads(json.dumps(settings))
        return restored


def train_run(run: Run, dataset: Dataset, folder: Path, *, resume: bool = False) -> dict[str, Any]:
    """Train, score the test split once, and write everything into the folder.

    Args:
        run: What to train, and how.
        dataset: On what.
        folder: For checkpoints, logs, pictures, `metrics.json`, `card.json` and `model.pt`.
        resume: Go on from the folder's latest checkpoint, or do nothing if the run is finished;
            otherwise the run starts over.
    Returns:
        What `metrics.json` holds.
    Raises:
        ValueError: The run in the folder has other settings, or no class has two sequences.
    """
    accelerator = make_accelerator()
    if accelerator.is_main_process:
        _prepare_folder(folder, run.settings(dataset), resume=resume)
    accelerator.wait_for_everyone()
    if finished := finished_metrics(folder):
        return finished
    learnt, validation = split_validation(dataset.train, run.recipe.validation_share, run.seed)
    set_seed(run.seed)
    model = build_standardised(run.architecture, learnt)
    trainer = Trainer(accelerator, model, learnt, validation, run.recipe, run.seed, folder)
    show = accelerator.is_main_process
    title = f"{run.name} seed {run.seed}"
    with Reporter(folder, title, run.recipe.steps, show=show) as reporter:
        trainer.fit(reporter.watch)
        reporter.watch(trainer.progress, trainer.progress.history[-1]["train_loss"])
    metrics = _measure(run, dataset, validation, model.cpu(), trainer)
    if accelerator.is_main_process:
        draw_learning_curve(folder, metrics["history"], metrics["best_step"])
        draw_confusion(folder, metrics["test"]["confusion"], dataset.labels)
        save_run(folder, _card(run, dataset, learnt, metrics), model)
        # last: it says that the run is finished
        write_metrics(folder, metrics)
    accelerator.wait_for_everyone()
    return metrics


def build_standardised(architecture: Architecture, learnt: SequenceSet) -> SequenceModel:
    """A new model that standardises with the figures of what it will learn from."""
    model = build(architecture)
    mean, deviation = feature_moments(learnt)
    model.standardise.mean.copy_(torch.from_numpy(mean))
    model.standardise.deviation.copy_(torch.from_numpy(deviation))
    return model


def finished_metrics(folder: Path) -> dict[str, Any] | None:
    """The metrics of a finished run; None if it is not finished."""
    path = folder / METRICS_FILE
    if not path.exists():
        return None
    metrics: dict[str, Any] = json.loads(path.read_text())
    return metrics


def write_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """Write `metrics.json`, all of it or nothing: it says that the run is finished."""
    partial = folder / f".{METRICS_FILE}"
    partial.write_text(json.dumps(metrics, indent=1) + "\n")
    partial.replace(folder / METRICS_FILE)


def _prepare_folder(folder: Path, settings: dict[str, Any], *, resume: bool) -> None:
    """Make the folder ready for a run that starts over, or check that it can be resumed."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SETTINGS_FILE
    if resume and path.exists():
        if differences := _differences(json.loads(path.read_text()), settings):
            raise ValueError(f"the run in {folder} has other settings: {'; '.join(differences)}")
        return
    remove_checkpoints(folder)
    (folder / METRICS_FILE).unlink(missing_ok=True)
    path.write_text(json.dumps(settings, indent=1) + "\n")


def _differences(was: Any, now: Any, name: str = "") -> list[str]:
    if isinstance(was, dict) and isinstance(now, dict):
        return [
            difference
            for key in sorted(was.keys() | now.keys())
            for difference in _differences(was.get(key), now.get(key), f"{name}.{key}".strip("."))
        ]
    return [] if was == now else [f"{name} was {was}, now {now}"]


def _measure(
    run: Run, dataset: Dataset, validation: SequenceSet, model: SequenceModel, trainer: Trainer
) -> dict[str, Any]:
    """What `metrics.json` holds; the one place that looks at the test split."""
    progress = trainer.progress
    test = full_scores(answer(model, dataset.test), dataset.test.targets, dataset.labels)
    validated = full_scores(answer(model, validation), validation.targets, dataset.labels)
    parameters = [parameter.numel() for parameter in model.parameters()]
    return {
        "name": run.name,
        "family": run.architecture.family,
        "dataset": dataset.name,
        "split": dataset.split,
        "seed": run.seed,
        "labels": dataset.labels,
        "sequences": {
            "train": len(dataset.train) - len(validation),
            "validation": len(validation),
            "test": len(dataset.test),
        },
        "test": test.as_dict(),
        "validation": validated.as_dict(),
        "baseline_accuracy": baseline_accuracy(dataset),
        "seeds": {str(run.seed): test.accuracy},
        "parameters": sum(parameters),
        "steps": progress.step,
        "best_step": progress.best_step,
        "epochs": progress.step / trainer.batches_per_epoch,
        "cpu_s": round(trainer.cpu_s(), 1),
        "settings": run.settings(dataset),
        "history": progress.history,
    }


def _card(run: Run, dataset: Dataset, learnt: SequenceSet, metrics: dict[str, Any]) -> Card:
    return Card(
        name=run.name,
        architecture=architecture_fields(run.architecture),
        inputs=Inputs(features=dataset.feature_names),
        labels=dataset.labels,
        limits=Limits(max_length=dataset.max_length),
        audio=dataset.audio,
        quality=Quality(
            test_accuracy=metrics["test"]["accuracy"],
            test_sequences=len(dataset.test),
            baseline_accuracy=metrics["baseline_accuracy"],
            seeds=metrics["seeds"],
        ),
        profile=profile_of(learnt),
        provenance=Provenance(
            dataset=dataset.name,
            data_licence=dataset.licence,
            split=dataset.split,
            seed=run.seed,
            hyperparameters={
                "architecture": metrics["settings"]["architecture"],
                "recipe": metrics["settings"]["recipe"],
            },
            libraries={
                "python": platform.python_version(),
                **{name: importlib.metadata.version(name) for name in LIBRARIES},
            },
            git_commit=_git_commit(),
            created_utc=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        ),
    )


def _git_commit() -> str | None:
    """The commit of this code, with `-dirty` after it if files differ; None outside git."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
