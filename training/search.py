"""Hyper-parameters of a recipe, searched for by Optuna on the validation part alone.

A search can be stopped and started at will; trials that fall behind the median of the others are
given up. What it finds is the same recipe with other settings, in a file that trains as any other.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import optuna
from accelerate.utils import set_seed

from training.fit.checkpoints import Progress
from training.fit.loop import Trainer, make_accelerator
from training.recipe_file import RecipeFile
from training.rehearsal import check_data
from training.settings import refuse_changes, settings_of
from training.task import Data
from training.tasks import TASKS

STORAGE_FILE = "search.db"
WIDTHS = (0.5, 0.75, 1.0, 1.5, 2.0)  # of the recipe's own hidden size
WIDTH_STEP = 8
"""Hidden sizes are multiples of it, so that any number of heads divides them."""


def search(recipe: RecipeFile, num_trials: int, folder: Path, seed: int = 0) -> RecipeFile:
    """Try settings near the recipe's own, and give the recipe with the best of all trials so far.

    Args:
        recipe: To start from: its own settings are the first trial.
        num_trials: To add to those that the folder holds.
        folder: For the trials, and `<name>.json`, the recipe that was found.
        seed: Of the trials' weights, and of the search.
    Raises:
        ValueError: The recipe can't be trained, or the trials that the folder holds are of other
            data or settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = recipe.load()
    check_data(TASKS[recipe.task], data)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=recipe.name,
        storage=f"sqlite:///{folder / STORAGE_FILE}",
        load_if_exists=True,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2),
    )
    own = recipe.run(data, seed)
    settings = settings_of(own, data)
    if study.trials:
        advice = f"Give another --folder, or remove {folder}, to search afresh"
        was = study.user_attrs.get("settings", {})
        refuse_changes(was, settings, f"the search in {folder}", advice, recipe.files)
    else:
        study.set_user_attr("settings", settings)
        study.enqueue_trial({"learning_rate": own.recipe.learning_rate, "width": 1.0})

    def attempt(trial: optuna.Trial) -> float:
        tried = _changed(recipe, own.architecture, own.recipe.learning_rate, trial)
        score = _score(tried, data, seed, folder / f"trial-{trial.number}", trial)
        print(f"trial {trial.number}: validation {score:.4f} with {trial.params}", flush=True)
        return score

    study.optimize(attempt, n_trials=num_trials)
    best = _changed(
        recipe,
        own.architecture,
        own.recipe.learning_rate,
        optuna.trial.FixedTrial(study.best_params),
    )
    (folder / f"{recipe.name}.json").write_text(best.model_dump_json(indent=1) + "\n")
    return best


def _changed(
    recipe: RecipeFile, architecture: dict[str, Any], learning_rate: float, trial: Any
) -> RecipeFile:
    """The recipe with what a trial suggests, of what its architecture has."""
    rate = trial.suggest_float("learning_rate", learning_rate / 5, learning_rate * 5, log=True)
    fit = {**recipe.fit, "learning_rate": rate}
    sizes = dict(recipe.architecture)
    if "hidden_size" in architecture:
        width = trial.suggest_categorical("width", WIDTHS) * architecture["hidden_size"]
        sizes["hidden_size"] = max(WIDTH_STEP, WIDTH_STEP * round(width / WIDTH_STEP))
    if "dropout" in architecture:
        sizes["dropout"] = trial.suggest_float("dropout", 0.0, 0.5)
    return recipe.model_copy(update={"fit": fit, "architecture": sizes})


def _score(recipe: RecipeFile, data: Data, seed: int, folder: Path, trial: optuna.Trial) -> float:
    """The best validation score of one run; the test part is not looked at."""
    run = recipe.run(data, seed)
    set_seed(seed)
    model, objective = TASKS[run.task].begin(run, data)
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(make_accelerator(), model, objective, run.recipe, seed, folder)
    reported = 0

    def watch(progress: Progress, loss: float) -> None:
        nonlocal reported
        if len(progress.history) > reported:
            reported = len(progress.history)
            trial.report(progress.history[-1]["validation_score"], reported)
            if trial.should_prune():
                raise optuna.TrialPruned

    try:
        return trainer.fit(watch).best_score[0]
    finally:
        shutil.rmtree(folder)
