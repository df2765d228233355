"""What changes the weights: AdamW, and Muon for the matrices of stacked layers."""

from __future__ import annotations

import math

from torch import nn
from torch.optim import AdamW, Muon, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from training.recipe import Recipe

LAYERS = "layers"
"""What a model calls its stack of layers."""


def make_optimizers(model: nn.Module, recipe: Recipe) -> list[Optimizer]:
    """AdamW (Loshchilov & Hutter 2019) for all, or for what Muon leaves.

    Muon (Jordan et al. 2024) gives every direction of a matrix the same step, by a Newton-Schulz
    iteration on the gradient's mean. It is for matrices between layers: what reads tokens and what
    says classes has rows that are learnt one by one.

    Raises:
        ValueError: Muon is asked for, and the model has no stacked layers.
    """
    learnt = {name: value for name, value in model.named_parameters() if value.requires_grad}
    optimizers: list[Optimizer] = []
    if recipe.muon_learning_rate is not None:
        hidden = [name for name in learnt if learnt[name].dim() == 2 and LAYERS in name.split(".")]
        if not hidden:
            raise ValueError("muon_learning_rate: the model has no matrices in stacked layers")
        optimizers.append(
            Muon(
                [learnt.pop(name) for name in hidden],
                lr=recipe.muon_learning_rate,
                weight_decay=recipe.weight_decay,
            )
        )
    matrices = [value for value in learnt.values() if value.dim() > 1]
    vectors = [value for value in learnt.values() if value.dim() < 2]  # biases, norms: no decay
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return [*optimizers, AdamW(groups, lr=recipe.learning_rate)]


def make_schedule(optimizer: Optimizer, recipe: Recipe) -> LambdaLR:
    """Its learning rate at every step."""
    return LambdaLR(optimizer, lambda step: warmup_cosine(step, recipe))


def warmup_cosine(step: int, recipe: Recipe) -> float:
    """The share of the highest learning rate at a step: up in a line, down as a cosine to 0."""
    warmup = max(1, round(recipe.warmup_share * recipe.steps))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, recipe.steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
