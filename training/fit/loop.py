"""The training loop, for any family and any data set.

Processes and devices are accelerate's: `accelerate launch -m training train ...` parts each batch
among them, so that which sequences meet at which step is the same for any number of processes.
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
from torch.nn import functional
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from models import SequenceModel
from training.data.augment import Augmenter
from training.data.batches import BucketedBatches, TrainingRows, collate
from training.data.dataset import SequenceSet
from training.fit.bptt import accumulate_gradients
from training.fit.checkpoints import Progress, latest_checkpoint, save_checkpoint, step_of
from training.fit.scores import answer, quick_scores
from training.recipes import Recipe

Watcher = Callable[[Progress, float], None]
"""Told after every step: where the run is, and that step's loss."""


def make_accelerator() -> Accelerator:
    """As the environment configures it; each batch is shared out, not one given to each."""
    return Accelerator(dataloader_config=DataLoaderConfiguration(split_batches=True))


class Trainer:
    """One run, from the folder's latest checkpoint if it has one.

    Args:
        accelerator: From `make_accelerator`.
        model: Standardised already, from torch's generator seeded by the caller.
        learnt: What is learnt from.
        validation: What decides which weights are the best, and when to stop.
        recipe: How.
        seed: Of batches and augmentation.
        folder: Where the checkpoints are.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        model: SequenceModel,
        learnt: SequenceSet,
        validation: SequenceSet,
        recipe: Recipe,
        seed: int,
        folder: Path,
    ) -> None:
        self.accelerator = accelerator
        self.model = model
        self.validation = validation
        self.recipe = recipe
        self.folder = folder
        self.progress = Progress()
        checkpoint = latest_checkpoint(folder)
        first_step = step_of(checkpoint) if checkpoint else 0
        lengths = [len(sequence) for sequence in learnt.sequences]
        batches = BucketedBatches(lengths, recipe.batch_size, recipe.steps, seed, first_step)
        self.batches_per_epoch = batches.batches_per_epoch
        loader = DataLoader(
            TrainingRows(learnt, _augmenter(model, recipe)),
            batch_sampler=batches,
            collate_fn=collate,
            generator=torch.Generator(),  # its own: torch's is the dropout's, and is checkpointed
        )
        optimizer = AdamW(_parameter_groups(model, recipe.weight_decay), lr=recipe.learning_rate)
        schedule = LambdaLR(optimizer, lambda step: warmup_cosine(step, recipe))
        accelerator.register_for_checkpointing(self.progress)
        self.wrapped, self.optimizer, self.loader, self.schedule = accelerator.prepare(
            model, optimizer, loader, schedule
        )
        if checkpoint:
            accelerator.load_state(str(checkpoint))
        self.earlier_cpu_s = self.progress.cpu_s

    def cpu_s(self) -> float:
        """CPU time, s, of this process since its start and of those that it was resumed from."""
        return self.earlier_cpu_s + time.process_time()

    def fit(self, watch: Watcher) -> Progress:
        """Train to the end or until the score stands still; the model then has the best weights."""
        progress, recipe = self.progress, self.recipe
        every = max(recipe.evaluate_every, self.batches_per_epoch)
        losses: list[float] = []
        # a run that was killed after its last validation has nothing left to learn
        if progress.stale < recipe.patience:
            for batch in self.loader:
                losses.append(self._learn(*batch))
                progress.step += 1
                watch(progress, losses[-1])
                if progress.step % every == 0 or progress.step == recipe.steps:
                    self._validate(float(np.mean(losses)))
                    losses.clear()
                    if progress.stale >= recipe.patience:
                        break
        self.model.load_state_dict(progress.best_weights)
        return progress

    def _learn(self, inputs: Tensor, lengths: Tensor, targets: Tensor) -> float:
        """One step; gives its loss."""
        self.model.train()
        loss = accumulate_gradients(
            self.wrapped,
            inputs,
            lengths,
            targets,
            self.recipe.tbptt_window,
            self._loss,
            self.accelerator.backward,
        )
        self.accelerator.clip_grad_norm_(self.wrapped.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        return loss

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of each answer: logits (n, classes) and targets (n,) to (n,)."""
        smoothing = self.recipe.label_smoothing
        return functional.cross_entropy(
            logits, targets, reduction="none", label_smoothing=smoothing
        )

    def _validate(self, train_loss: float) -> None:
        """Score the validation part, keep the weights if they are the best yet, save it all."""
        progress = self.progress
        logits = answer(self.model, self.validation)
        accuracy, loss = quick_scores(logits, self.validation.targets)
        progress.history.append(
            {
                "step": progress.step,
                "epoch": progress.step / self.batches_per_epoch,
                "learning_rate": self.schedule.get_last_lr()[0],
                "train_loss": train_loss,
                "validation_loss": loss,
                "validation_accuracy": accuracy,
            }
        )
        progress.stale += 1
        if (accuracy, -loss) > progress.best_score:
            progress.best_score, progress.best_step = (accuracy, -loss), progress.step
            progress.stale = 0
            weights = self.model.state_dict()
            progress.best_weights = {name: value.clone() for name, value in weights.items()}
        progress.cpu_s = self.cpu_s()
        save_checkpoint(self.accelerator, self.folder, progress.step)


def warmup_cosine(step: int, recipe: Recipe) -> float:
    """The share of the highest learning rate at a step: up in a line, down as a cosine to 0."""
    warmup = max(1, round(recipe.warmup_share * recipe.steps))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, recipe.steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _augmenter(model: SequenceModel, recipe: Recipe) -> Augmenter:
    standardise = model.standardise
    return Augmenter(
        recipe.augmentation, standardise.mean.cpu().numpy(), standardise.deviation.cpu().numpy()
    )


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Matrices decay; biases, norms and other vectors do not."""
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [item for item in learnt if item.dim() > 1], "weight_decay": weight_decay},
        {"params": [item for item in learnt if item.dim() < 2], "weight_decay": 0.0},
    ]
