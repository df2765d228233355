"""One run: a data set, a family and a seed in; a folder with weights, card and metrics out."""

from __future__ import annotations

import dataclasses
import datetime
import json
import subprocess
from pathlib import Path
from typing import Any

from accelerate.utils import set_seed

from models.halves import round_weights
from service.manifest import Provenance, beaten_by
from training.card import Card, save_run
from training.fit.checkpoints import remove_checkpoints
from training.fit.loop import Trainer, make_accelerator
from training.fit.report import Reporter, draw_learning_curve
from training.rehearsal import check_data, check_room, check_writable, rehearse
from training.settings import Files, libraries, refuse_changes, settings_of
from training.task import Contract, Data, Run
from training.tasks import TASKS

METRICS_FILE = "metrics.json"
SETTINGS_FILE = "settings.json"


def train_run(
    run: Run, data: Data, folder: Path, *, resume: bool = False, files: Files | None = None
) -> dict[str, Any]:
    """Train, score the test split once, and write everything into the folder.

    Args:
        run: What to train, and how.
        data: On what, as the run's task loads it.
        folder: For checkpoints, logs, pictures, `metrics.json`, `card.json` and `model.pt`.
        resume: Go on from the folder's latest checkpoint, or do nothing if the run is finished;
            otherwise the run starts over.
        files: What the user calls the parts of the data.
    Returns:
        What `metrics.json` holds.
    Raises:
        ValueError: The run in the folder has other data or settings, the data are not as they
            should be, the folder can't be written to, or the training diverged.
    """
    task = TASKS[run.task]
    settings = settings_of(run, data)
    accelerator = make_accelerator()
    check_writable(folder)
    goes_on = resume and (folder / SETTINGS_FILE).exists()
    if goes_on:
        _check_unchanged(folder, settings, files or {})
        if finished := finished_metrics(folder):
            return finished
    check_data(task, data)
    set_seed(run.seed)
    model, objective = task.begin(run, data)
    check_room(folder, model)

    def describe(contract: Contract) -> Card:
        return _card(run, data, contract, settings)

    baselines = rehearse(task, run, data, model, objective, describe)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process and not goes_on:
        _start_over(folder, settings)
    accelerator.wait_for_everyone()
    trainer = Trainer(accelerator, model, objective, run.recipe, run.seed, folder)
    show = accelerator.is_main_process
    title = f"{run.name} seed {run.seed}"
    with Reporter(folder, title, run.recipe.steps, show=show) as reporter:
        trainer.fit(reporter.watch)
        reporter.watch(trainer.progress, trainer.progress.history[-1]["train_loss"])
    progress, model = trainer.progress, model.cpu()
    round_weights(model)
    measured = task.measure(model, data, objective) | baselines
    chief = measured["test"][measured["metric"]]
    metrics = {
        "name": run.name,
        "task": run.task,
        "family": run.architecture["family"],
        "dataset": data.name,
        "split": data.split,
        "seed": run.seed,
        **measured,
        "seeds": {str(run.seed): chief},
        "beaten_by": beaten_by(
            chief, measured["baselines"], higher_is_better=measured["higher_is_better"]
        ),
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
        save_run(folder, describe(contract), contract.files, model)
        # last: it says that the run is finished
        write_metrics(folder, metrics)
    accelerator.wait_for_everyone()
    return metrics


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


def _check_unchanged(folder: Path, settings: dict[str, Any], files: Files) -> None:
    """Refuse to go on with a run that began otherwise."""
    was, now = json.loads((folder / SETTINGS_FILE).read_text()), dict(settings)
    if finished_metrics(folder):  # what would compute now has no part in it
        now["libraries"] = was.get("libraries")
    advice = "Remove that folder, or give another --run-dir, to train on what there is now"
    refuse_changes(was, now, f"the run in {folder}", advice, files)


def _start_over(folder: Path, settings: dict[str, Any]) -> None:
    """Leave nothing of an earlier run that could be taken for this one's."""
    remove_checkpoints(folder)
    (folder / METRICS_FILE).unlink(missing_ok=True)
    (folder / SETTINGS_FILE).write_text(json.dumps(settings, indent=1) + "\n")


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
            libraries=libraries(),
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
