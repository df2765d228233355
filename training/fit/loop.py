"""The training loop, for any family and any data set.

Processes and devices are accelerate's: `accelerate launch -m training train ...` parts each batch
among them, so that which sequences meet at which step is the same for any number of processes.
On CPUs: `ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes 2 -m training ...`;
with `--cpu` accelerate starts one process, whatever number it is given.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration
from torch import Tensor, nn
from torch.utils.data import DataLoader

from training.data.batches import BucketedBatches, Examples
from training.fit.checkpoints import Progress, latest_checkpoint, save_checkpoint, step_of
from training.fit.objective import Objective
from training.fit.optimizers import make_optimizers, make_schedule
from training.recipe import Recipe

Watcher = Callable[[Progress, float], None]
"""Told after every step: where the run is, and that step's loss."""


def make_accelerator() -> Accelerator:
    """As the environment configures it; each batch is shared out, not one given to each."""
    return Accelerator(dataloader_config=DataLoaderConfiguration(split_batches=True))


class Trainer:
    """One run, from the folder's latest checkpoint if it has one.

    Args:
        accelerator: From `make_accelerator`.
        model: From torch's generator seeded by the caller.
        objective: What is learnt from, and what decides which weights are the best.
        recipe: How.
        seed: Of batches and augmentation.
        folder: Where the checkpoints are.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        model: nn.Module,
        objective: Objective,
        recipe: Recipe,
        seed: int,
        folder: Path,
    ) -> None:
        self.accelerator = accelerator
        self.model = model
        self.objective = objective
        self.recipe = recipe
        self.folder = folder
        self.progress = Progress()
        checkpoint = latest_checkpoint(folder)
        first_step = step_of(checkpoint) if checkpoint else 0
        batches = BucketedBatches(
            objective.lengths, recipe.batch_size, recipe.steps, seed, first_step
        )
        self.batches_per_epoch = batches.batches_per_epoch
        loader = DataLoader(
            Examples(objective),
            batch_sampler=batches,
            collate_fn=objective.collate,
            generator=torch.Generator(),  # its own: torch's is the dropout's, and is checkpointed
        )
        optimizers = make_optimizers(model, recipe)
        schedules = [make_schedule(optimizer, recipe) for optimizer in optimizers]
        accelerator.register_for_checkpointing(self.progress)
        self.wrapped, self.loader = accelerator.prepare(model, loader)
        self.optimizers = [accelerator.prepare(optimizer) for optimizer in optimizers]
        self.schedules = [accelerator.prepare(schedule) for schedule in schedules]
        half = recipe.mixed_precision == "bf16" and has_bf16(accelerator.device)
        self._products = torch.autocast(accelerator.device.type, torch.bfloat16, enabled=half)
        if checkpoint:
            accelerator.load_state(str(checkpoint))
        self.earlier_cpu_s = self.progress.cpu_s

    def cpu_s(self) -> float:
        """CPU time, s, of this process since its start and of those that it was resumed from."""
        return self.earlier_cpu_s + time.process_time()

    def fit(self, watch: Watcher) -> Progress:
        """Train to the end or until the score stands still; the model then has the best weights.

        Raises:
            ValueError: It diverged.
        """
        progress, recipe = self.progress, self.recipe
        every = max(recipe.evaluate_every, self.batches_per_epoch)
        losses: list[float] = []
        # a run that was killed after its last validation has nothing left to learn
        if progress.stale < recipe.patience:
            for batch in self.loader:
                losses.append(self._learn(batch))
                progress.step += 1
                watch(progress, losses[-1])
                if progress.step % every == 0 or progress.step == recipe.steps:
                    self._validate(float(np.mean(losses)))
                    losses.clear()
                    if progress.stale >= recipe.patience:
                        break
        self.model.load_state_dict(progress.best_weights)
        return progress

    def _learn(self, batch: tuple[Tensor, ...]) -> float:
        """One step; gives its loss."""
        self.model.train()
        with self._products:
            loss = self.objective.learn(self.wrapped, batch, self.accelerator.backward)
        self.accelerator.clip_grad_norm_(self.wrapped.parameters(), self.recipe.clip_norm)
        for optimizer, schedule in zip(self.optimizers, self.schedules, strict=True):
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        return loss

    def _validate(self, train_loss: float) -> None:
        """Score the validation part, keep the weights if they are the best yet, save it all."""
        progress = self.progress
        score, loss = self.objective.validate(self.model)
        if not (math.isfinite(score) and math.isfinite(loss)):
            raise ValueError(
                f"the training diverged: after step {progress.step} the validation loss is {loss}; "
                "a lower learning rate may help"
            )
        progress.history.append(
            {
                "step": progress.step,
                "epoch": progress.step / self.batches_per_epoch,
                "learning_rate": self.schedules[-1].get_last_lr()[0],
                "train_loss": train_loss,
                "validation_loss": loss,
                "validation_score": score,
            }
        )
        progress.stale += 1
        if (score, -loss) > progress.best_score:
            progress.best_score, progress.best_step = (score, -loss), progress.step
            progress.stale = 0
            weights = self.model.state_dict()
            progress.best_weights = {name: value.clone() for name, value in weights.items()}
        progress.cpu_s = self.cpu_s()
        save_checkpoint(self.accelerator, self.folder, progress.step)


def has_bf16(device: torch.device) -> bool:
    """Whether it multiplies bfloat16 by itself: a CPU that does not takes two to three times as
    long as with float32."""
    if device.type != "cpu":
        return True
    known = torch.cpu.get_capabilities()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))
