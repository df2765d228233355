"""How good forecasts are, and what they must beat."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import Ridge

from service.tasks.forecasting.quantiles import interpolate
from service.tasks.forecasting.settings import ForecastingSettings
from service.tasks.forecasting.steps import AHEAD, USUAL, VALUE, Floats, Values, seasonal_naive
from training.data.series.series import SeriesSet

INTERVAL = (0.1, 0.9)
ALPHAS = (1e1, 1e2, 1e3, 1e4, 1e5)


def forecast_scores(
    answers: Floats | Values,
    truth: Values,
    settings: ForecastingSettings,
    naive_error: float | None,
) -> dict[str, float]:
    """Scores over all known values, in the user's unit but for shares.

    `mae` is the median's and `rmse` the mean's mean error: each is what the other can't be best at.

    Args:
        answers: (forecasts, horizon, 1 + quantiles), the mean first.
        truth: (forecasts, horizon), NaN where unknown: it counts in no score.
        settings: Say which quantiles.
        naive_error: What `mase` divides by, as `naive_error` gives it; without one there is none.
    """
    known = ~np.isnan(truth)
    target, answers = truth[known], answers[known].astype(np.float64)
    asked = [INTERVAL[0], 0.5, INTERVAL[1]]
    low, median, high = interpolate(answers[:, 1:], settings.quantiles, asked).T
    levels = np.array(settings.quantiles)
    below = target[:, None] - answers[:, 1:]
    mae = float(np.abs(median - target).mean())
    scaled = {} if naive_error is None else {"mase": mae / naive_error}
    return {
        "mae": mae,
        "mae_of_mean": float(np.abs(answers[:, 0] - target).mean()),
        "rmse": float(np.sqrt(((answers[:, 0] - target) ** 2).mean())),
        **scaled,
        "pinball": float(np.maximum(levels * below, (levels - 1) * below).mean()),
        "coverage_80": float(((low <= target) & (target <= high)).mean()),
    }


def naive_error(data: SeriesSet) -> float | None:
    """Mean error of the value one longest season before, over what is learnt from.

    None where it is 0, as in a series that repeats itself, or no two values are a season apart.
    """
    values, season = data.learnt.values, data.settings.seasons[-1]
    errors = np.abs(values[season:] - values[:-season])
    known = errors[~np.isnan(errors)]
    return float(known.mean()) or None if known.size else None


def baseline_errors(data: SeriesSet) -> dict[str, dict[str, float]]:
    """Error on the test part of forecasts without a network: `mae` and `rmse` by name."""
    settings, origins = data.settings, data.origins("test")
    steps, truth = data.series.windows(settings, origins)
    history = data.series.history(settings, origins)
    naive = seasonal_naive(history, settings.seasons, settings.context + settings.horizon)
    forecasts: dict[str, Values] = {
        f"seasonal naive, {season} steps": naive[place][:, settings.context :]
        for place, season in enumerate(settings.seasons)
    }
    forecasts["mean at that time"] = _mean_at_that_time(data)
    forecasts["median at that time"] = steps[:, settings.context :, USUAL].astype(np.float64)
    if (ridge := _ridge(data)) is not None:
        forecasts["ridge"] = ridge
    return {name: _errors(forecast, truth) for name, forecast in forecasts.items()}


def _errors(forecast: Values, truth: Values) -> dict[str, float]:
    error = (forecast - truth)[~np.isnan(truth)]
    return {"mae": float(np.abs(error).mean()), "rmse": float(np.sqrt((error**2).mean()))}


def _mean_at_that_time(data: SeriesSet) -> Values:
    """The mean of the training part at the same step of the longest cycle."""
    settings, learnt = data.settings, data.learnt
    phases = settings.phases(data.series.clock_s)
    learnt_phases = phases[: len(learnt.values)]
    means = [np.nanmean(learnt.values[learnt_phases == p]) for p in range(len(settings.usual))]
    places = data.series.places(settings, data.origins("test"))[:, settings.context :]
    mean: Values = np.array(means)[phases[places]]
    return mean


def _ridge(data: SeriesSet) -> Values | None:
    """A ridge regression of all steps ahead on the history and what is known of the future.

    It too learns differences from the usual; its strength is the one best on the validation part.
    It needs forecasts whose every step is known: without any, as where weekends have no values and
    a week is forecast, there is none.
    """
    inputs: dict[str, Any] = {}
    for part in ("train", "validation", "test"):
        steps, truth = data.series.windows(data.settings, data.origins(part))
        context = data.settings.context
        known = steps[:, context:, AHEAD + 1 :].reshape(len(steps), -1)
        rows = np.concatenate([steps[:, :context, VALUE], known], axis=1).astype(np.float64)
        inputs[part] = rows, steps[:, context:, USUAL].astype(np.float64), truth
    rows, usual, truth = inputs["train"]
    complete = ~np.isnan(truth).any(axis=1)
    if not complete.any():
        return None
    mean, deviation = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-9)
    fits = [
        Ridge(alpha).fit((rows[complete] - mean) / deviation, (truth - usual)[complete])
        for alpha in ALPHAS
    ]

    def forecast(fit: Any, part: str) -> Values:
        rows, usual, _ = inputs[part]
        forecast: Values = usual + fit.predict((rows - mean) / deviation)
        return forecast

    best = min(
        fits, key=lambda fit: _errors(forecast(fit, "validation"), inputs["validation"][2])["mae"]
    )
    return forecast(best, "test")
