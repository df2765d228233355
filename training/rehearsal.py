"""Everything that comes after training, once before it: nothing is paid for that can't be used.

What is wrong with the data is asked first, of all parts at once. Then a model that has learnt
nothing is scored on every part, drawn and described as the finished one will be.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from service.reasons import why_not
from training.fit.objective import Objective
from training.task import Contract, Data, Run, TrainingTask

COPIES = 10
"""Of the weights that a run leaves at most: two checkpoints with AdamW's two averages and the best
weights each, the finished ones, a graph."""
SPARE_BYTES = 32_000_000
"""For logs and pictures."""


def check_data(task: TrainingTask[Any, Any], data: Data) -> None:
    """Refuse data that can't be learnt from or scored on.

    Raises:
        ValueError: Names each part that is wrong, and what to do.
    """
    if faults := task.check(data):
        raise ValueError("; ".join(faults))


def check_room(folder: Path, model: nn.Module) -> None:
    """Refuse a folder that has no room for the run.

    Raises:
        ValueError: It has too little.
    """
    tensors = model.state_dict().values()
    needed = SPARE_BYTES + COPIES * sum(each.nbytes for each in tensors)
    if (free := shutil.disk_usage(folder).free) < needed:
        raise ValueError(
            f"{folder}: a run needs up to {needed / 1e6:.0f} MB there, {free / 1e6:.0f} MB are free"
        )


def check_writable(folder: Path) -> None:
    """Make a folder, and refuse one that can't be written to.

    Raises:
        ValueError: It can't be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"{folder} can't be written to: {error.strerror}") from error


def rehearse(
    task: TrainingTask[Any, Any],
    run: Run,
    data: Data,
    model: nn.Module,
    objective: Objective,
    describe: Callable[[Contract], object],
) -> dict[str, Any]:
    """Score, draw and describe an untrained model as the finished one will be.

    Args:
        task: The run's.
        run: What is to be trained.
        data: On what.
        model: As it begins; it and the random numbers to come are left as they are.
        objective: The run's.
        describe: Makes what the manifest is made of, and refuses what can't stand there.
    Returns:
        The baselines, which are not computed again.
    Raises:
        ValueError: The data, the name or the labels can't be used: says which, and why.
    """
    baselines = task.baselines(data)
    with torch.random.fork_rng():
        measured = task.rehearse(model, data, objective) | baselines
    metrics = {**measured, "seeds": {str(run.seed): measured["test"][measured["metric"]]}}
    with tempfile.TemporaryDirectory() as folder:
        task.draw(Path(folder), data, metrics)
    try:
        describe(task.contract(run, data, objective, model, metrics))
    except ValidationError as error:
        raise ValueError(f"no bundle could be made of this run: {why_not(error)}") from error
    return baselines
