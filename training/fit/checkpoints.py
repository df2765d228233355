"""Checkpoints that are whole or absent, and what a run has reached.

Accelerate saves model, optimiser, schedule and random states; `Progress` rides along. A checkpoint
is written beside its final name and renamed, so that a run killed in between finds the one before.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import Tensor

PREFIX = "checkpoint-"


@dataclasses.dataclass
class Progress:
    """What a run has reached; saved with every checkpoint."""

    step: int = 0
    best_step: int = 0
    best_score: tuple[float, float] = (-math.inf, 0.0)
    """Validation score, then minus the loss: the first decides, the second breaks ties."""
    best_weights: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    stale: int = 0
    """Validations since the best."""
    cpu_s: float = 0.0
    """CPU time of this run's earlier processes and this one."""
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)
    """One row a validation: step, epoch, losses, score, learning rate."""

    def state_dict(self) -> dict[str, Any]:
        """Everything, for accelerate to save."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take everything back."""
        vars(self).update(state)


def save_checkpoint(accelerator: Accelerator, folder: Path, step: int) -> None:
    """Save everything registered with the accelerator, then drop older checkpoints."""
    final = folder / f"{PREFIX}{step:08d}"
    partial = folder / f".{final.name}"
    accelerator.save_state(str(partial))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        for older in folder.glob(f"{PREFIX}*"):
            if older != final:
                shutil.rmtree(older)
    accelerator.wait_for_everyone()


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of a run."""
    return max(folder.glob(f"{PREFIX}*"), default=None)


def step_of(checkpoint: Path) -> int:
    """How many steps a run had done at this checkpoint."""
    return int(checkpoint.name.removeprefix(PREFIX))


def remove_checkpoints(folder: Path) -> None:
    """Drop every checkpoint, whole or partial."""
    for pattern in (f"{PREFIX}*", f".{PREFIX}*"):
        for checkpoint in folder.glob(pattern):
            shutil.rmtree(checkpoint)
