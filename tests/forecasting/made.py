"""Small forecasting settings and requests."""

from __future__ import annotations

from typing import Any

from service.tasks.forecasting.series import GivenSeries
from service.tasks.forecasting.settings import Cycle, ForecastingSettings

HOUR_S, DAY_S = 3_600, 86_400


def make_settings(**changes: Any) -> ForecastingSettings:
    """An hourly series with a day's cycle of 4 steps of 6 hours, unless changed."""
    fields: dict[str, Any] = {
        "step_s": 6 * HOUR_S,
        "context": 8,
        "horizon": 3,
        "min_known": 2,
        "max_gap": 3,
        "seasons": [1, 4],
        "cycles": [Cycle(period_s=DAY_S, harmonics=2)],
        "usual": [10.0, 20.0, 30.0, 20.0],
        "covariates": ["holiday"],
        "quantiles": [0.1, 0.5, 0.9],
    }
    return ForecastingSettings(**fields | changes)


def make_series(**changes: Any) -> GivenSeries:
    """One that those settings take, with a horizon of 3."""
    fields: dict[str, Any] = {
        "values": [float(value) for value in range(1, 9)],
        "start": "2024-01-01T00:00:00",
        "covariates": {"holiday": [0.0] * 8},
        "future_covariates": {"holiday": [1.0] * 3},
    }
    return GivenSeries(**fields | changes)
