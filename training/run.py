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

from accelerate.utils import set_seed

from models.halves import round_weights
from service.manifest import Provenance
from training.card import Card, save_run
from training.fit.checkpoints import remove_checkpoints
from training.fit.loop import Trainer, make_accelerator
from training.fit.report import Reporter, draw_learning_curve
from training.task import Contract, Data, Run
from training.tasks import TASKS

METRICS_FILE = "metrics.json"
SETTINGS_FILE = "settings.json"
LIBRARIES = ("torch", "numpy", "accelerate", "scikit-learn")


def train_run(run: Run, data: Data, folder: Path, *, resume: bool = False) -> dict[str, Any]:
    """Train, score the test split once, and write everything into the folder.

    Args:
        run: What to train, and how.
        data: On what, as the run's task loads it.
        folder: For checkpoints, logs, pictures, `metrics.json`, `card.json` and `model.pt`.
        resume: Go on from the folder's latest checkpoint, or do nothing if the run is finished;
            otherwise the run starts over.
    Returns:
        What `metrics.json` holds.
    Raises:
        ValueError: The run in the folder has other settings, or the data are too few.
    """
    task = TASKS[run.task]
    settings = _settings(run, task.settings(data))
    accelerator = make_accelerator()
    if accelerator.is_main_process:
        _prepare_folder(folder, settings, resume=resume)
    accelerator.wait_for_everyone()
    if finished := finished_metrics(folder):
        return finished
    set_seed(run.seed)
    model, objective = task.begin(run, data)
    trainer = Trainer(accelerator, model, objective, run.recipe, run.seed, folder)
    show = accelerator.is_main_process
    title = f"{run.name} seed {run.seed}"
    with Reporter(folder, title, run.recipe.steps, show=show) as reporter:
        trainer.fit(reporter.watch)
        reporter.watch(trainer.progress, trainer.progress.history[-1]["train_loss"])
    progress, model = trainer.progress, model.cpu()
    round_weights(model)
    measured = task.measure(model, data, objective)
    metrics = {
        "name": run.name,
        "task": run.task,
        "family": run.architecture["family"],
        "dataset": data.name,
        "split": data.split,
        "seed": run.seed,
        **measured,
        "seeds": {str(run.seed): measured["test"][measured["metric"]]},
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "steps": progress.step,
        "best_step": progress.best_step,
        "epochs": progress.step / trainer.batches_per_epoch,
        "cpu_s": round(trainer.cpu_s(), 1),
        "settings": settings,
        "history": progress.history,
    }
    if accelerator.is_main_process:
        draw_learning_curve(folder, metrics["history"], metrics["best_step"])
        task.draw(folder, data, metrics)
        contract = task.contract(run, data, objective, model, metrics)
        save_run(folder, _card(run, data, contract, settings), contract.files, model)
        # last: it says that the run is finished
        write_metrics(folder, metrics)
    accelerator.wait_for_everyone()
    return metrics


def _settings(run: Run, data: dict[str, Any]) -> dict[str, Any]:
    """All that decides the result, as JSON holds it."""
    restored: dict[str, Any] = json.loads(json.dumps({**dataclasses.asdict(run), **data}))
    return restored


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


def _card(run: Run, data: Data, contract: Contract, settings: dict[str, Any]) -> Card:
    return Card(
        name=run.name,
        task=run.task,
        architecture=run.architecture,
        **{
            field.name: getattr(contract, field.name)
            for field in dataclasses.fields(contract)
            if field.name != "files"
        },
        files=sorted(contract.files),
        provenance=Provenance(
            dataset=data.name,
            data_licence=data.licence,
            split=data.split,
            seed=run.seed,
            hyperparameters={name: settings[name] for name in ("architecture", "recipe")},
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
