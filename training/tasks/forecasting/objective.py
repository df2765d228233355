"""What a forecaster learns: windows of a series, some with gaps of their own, and the loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.forecasting import Forecaster
from service.tasks.forecasting.settings import ForecastingSettings
from service.tasks.forecasting.steps import Floats, Values, build_steps
from training.data.batches import Row
from training.data.series.series import SeriesSet
from training.fit.objective import Objective, Validation
from training.tasks.forecasting.scores import forecast_scores

GAP_SHARE, SHORT_SHARE = 0.3, 0.1
"""Of the windows learnt from: given one more gap, and cut short at the beginning."""
MEAN_WEIGHT = 0.1
"""Of the mean's loss beside the quantiles'."""
VALIDATE_EVERY = 3
"""Steps between the forecasts that tell while training how good a model is."""

Example = tuple[Values, int]


class ForecastingObjective(Objective):
    """Pinball loss of the quantiles, squared error of the mean; the median's error decides."""

    def __init__(self, data: SeriesSet) -> None:
        self.data = data
        self.settings = data.settings
        self.origins = data.origins("train")
        self.scale = scale_of(data)
        self.levels = torch.tensor(data.settings.quantiles)
        self.validation = data.series.windows(
            data.settings, data.origins("validation", VALIDATE_EVERY)
        )

    @property
    def lengths(self) -> Sequence[int]:
        """All windows are alike."""
        return [self.settings.context + self.settings.horizon] * len(self.origins)

    def example(self, row: Row) -> Example:
        """What is known at an origin, (context,), some of it taken away; and the origin."""
        origin = self.origins[row.sequence : row.sequence + 1]
        known = self.data.series.history(self.settings, origin)[0]
        take_away(known, self.settings, np.random.default_rng(row.seed))
        return known, int(origin[0])

    def collate(self, examples: list[Example]) -> tuple[Tensor, ...]:
        """Inputs (batch, time, features) and the truth (batch, horizon), NaN where unknown."""
        history = np.stack([known for known, _ in examples])
        series, settings = self.data.series, self.settings
        places = series.places(settings, np.array([origin for _, origin in examples]))
        steps = build_steps(settings, history, series.clock_s[places], series.covariates[places])
        truth = series.values[places[:, settings.context :]].astype(np.float32)
        return torch.from_numpy(steps), torch.from_numpy(truth)

    def learn(
        self, model: Any, batch: tuple[Tensor, ...], backward: Callable[[Tensor], None]
    ) -> float:
        """The loss of the steps ahead, in deviations from what is usual."""
        inputs, truth = batch
        answers = model(inputs, _whole(inputs)).logits[:, self.settings.context :]
        loss = forecast_loss(answers / self.scale, truth / self.scale, self.levels)
        backward(loss)
        return float(loss.detach())

    def validate(self, model: Any) -> Validation:
        """Minus the median's mean error, and the mean pinball loss."""
        steps, truth = self.validation
        answers = answer(model, steps, self.settings)
        scores = forecast_scores(answers, truth, self.settings, naive_error=None)
        return Validation(-scores["mae"], scores["pinball"])


def scale_of(data: SeriesSet) -> float:
    """Deviation of what is learnt from around what is usual, in the user's unit."""
    learnt = data.learnt
    usual = np.array(data.settings.usual)[data.settings.phases(learnt.clock_s)]
    return float(np.nanstd(learnt.values - usual)) or 1.0


def take_away(known: Values, settings: ForecastingSettings, random: np.random.Generator) -> None:
    """Make, in some histories (context,), a gap of up to `max_gap`, or cut their beginning off."""
    if settings.max_gap and random.random() < GAP_SHARE:
        start = random.integers(0, settings.context)
        known[start : start + random.integers(1, settings.max_gap + 1)] = np.nan
    if random.random() < SHORT_SHARE:
        known[: random.integers(0, settings.context - settings.min_known + 1)] = np.nan


def forecast_loss(answers: Tensor, truth: Tensor, levels: Tensor) -> Tensor:
    """Twice the mean pinball loss, which is the median's absolute error; and a bit of the mean's.

    Args:
        answers: (batch, horizon, 1 + quantiles), the mean first.
        truth: (batch, horizon), NaN where unknown: it counts for nothing.
        levels: (quantiles,), from 0 to 1.
    """
    known = ~torch.isnan(truth)
    target = torch.where(known, truth, 0.0)
    below = target.unsqueeze(2) - answers[:, :, 1:]
    pinball = torch.maximum(levels * below, (levels - 1) * below).mean(dim=2)
    losses = 2 * pinball + MEAN_WEIGHT * (target - answers[:, :, 0]) ** 2  # (batch, horizon)
    return (losses * known).sum() / known.sum().clamp(min=1)


@torch.no_grad()
def answer(
    model: Forecaster, steps: Floats, settings: ForecastingSettings, batch_size: int = 256
) -> Floats:
    """Mean and quantiles (count, horizon, 1 + quantiles) of steps (count, time, features)."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    answers: list[Floats] = []
    for start in range(0, len(steps), batch_size):
        inputs = torch.from_numpy(steps[start : start + batch_size]).to(device)
        logits = model(inputs, _whole(inputs)).logits
        answers.append(logits[:, settings.context :].cpu().numpy())
    model.train(was_training)
    return np.concatenate(answers)


def _whole(inputs: Tensor) -> Tensor:
    """Lengths of a batch without padding."""
    return torch.full((len(inputs),), inputs.shape[1], device=inputs.device)
