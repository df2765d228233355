"""A mean and quantiles of each step, in the user's unit.

A per-step head answers raw(t) with 1 + quantiles values; with the usual value u(t), which every
step brings along, and the scale s of the training set's differences from it:

    mean(t)        = u(t) + s raw_0(t)
    quantile_1(t)  = u(t) + s raw_1(t)
    quantile_k(t)  = quantile_(k-1)(t) + s softplus(raw_k(t)),    k > 1

so that a model which has learnt nothing answers about what is usual, and quantiles never cross.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from models.heads import PerStep
from models.sequence import Prediction, SequenceModel, State, step_mask

NARROW = -3.0
"""Where the gaps between quantiles begin: softplus(-3) is 0.05 scales."""


class Forecaster(SequenceModel):
    """A model of any family that forecasts.

    Args:
        model: With a per-step head of 1 + quantiles values; its parts become this one's.
        usual: Which feature of a step is the usual value.
    """

    scale: Tensor

    def __init__(self, model: SequenceModel, usual: int) -> None:
        if not isinstance(model.head, PerStep):
            raise ValueError("a forecaster has the head per_step")
        super().__init__(model.front, model.encoder, model.head)
        self.usual = usual
        self.register_buffer("scale", torch.ones(()))
        with torch.no_grad():
            model.head.output.bias[2:] += NARROW

    def forward(self, inputs: Tensor, lengths: Tensor, state: State | None = None) -> Prediction:
        """As every family's: the logits are the mean, then the quantiles, in the user's unit."""
        raw, state, weights = super().forward(inputs, lengths, state)
        gaps = torch.cumsum(functional.softplus(raw[:, :, 2:]), dim=2)
        lowest = raw[:, :, 1:2]
        scaled = self.scale * torch.cat([raw[:, :, :1], lowest, lowest + gaps], dim=2)
        values = inputs[:, :, self.usual : self.usual + 1] + scaled  # (batch, time, 1 + quantiles)
        mask = step_mask(lengths, inputs.shape[1]).unsqueeze(2)
        return Prediction(torch.where(mask, values, torch.zeros_like(values)), state, weights)
