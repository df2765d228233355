"""Two tiny runs, by as many processes as there are; each leaves its weights in the folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import set_seed

from tests.training.made import make_dataset, make_run
from training.data.texts.characters import text_set
from training.fit.loop import Trainer, make_accelerator
from training.recipe import Recipe
from training.task import Run
from training.tasks import TASKS

STEPS = 12


def runs() -> list[tuple[Run, Any]]:
    """With nothing that is drawn by each process for itself, as the masks of dropout are."""
    # augmented, and in windows: gradients are exchanged in the last one only
    classifier = make_run("lstm", dropout=0.0, steps=STEPS, tbptt_window=9)
    random = np.random.default_rng(0)
    text = "".join(random.choice(list("abc "), 600))
    texts = text_set("made", text, text[:100], licence="none", split="made")
    # a recurrent network reads on: its rows must go on in the process that has their state
    sizes = TASKS["generation"].default_architecture("gru", texts, hidden_size=8, embedding_size=4)
    recipe = Recipe(0.03, steps=STEPS, batch_size=4, tbptt_window=8)
    return [(classifier, make_dataset()), (Run("text-gru", "generation", sizes, recipe, 0), texts)]


def train(folder: Path) -> None:
    """Do both; the weights that each had after its last step are `<name>.pt`."""
    torch.set_num_threads(1)
    for run, data in runs():
        accelerator = make_accelerator()
        set_seed(run.seed)
        model, objective = TASKS[run.task].begin(run, data)
        run_folder = folder / run.name
        trainer = Trainer(accelerator, model, objective, run.recipe, run.seed, run_folder)
        latest: dict[str, torch.Tensor] = {}

        def keep(progress: object, loss: float, model: Any = model, latest: Any = latest) -> None:
            latest.update({name: value.clone() for name, value in model.state_dict().items()})

        trainer.fit(keep)
        if accelerator.is_main_process:
            (folder / f"{run.name}.processes").write_text(str(accelerator.num_processes))
            torch.save(latest, folder / f"{run.name}.pt")
        accelerator.free_memory()


if __name__ == "__main__":
    train(Path(sys.argv[1]))
