"""From series to the steps that a forecasting graph reads, for the service and training alike.

One sequence a series: `context` steps of history, then the steps ahead. What is known of the
future (the calendar, the usual value, covariates) stands at its own step; what is unknown is said
to be so. All values but the usual one itself are differences from it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.tasks.forecasting.settings import ForecastingSettings

Floats = NDArray[np.float32]
Values = NDArray[np.float64]

USUAL, VALUE, KNOWN, AHEAD = range(4)
"""Where in a step they stand; the graph adds the usual value to what it answers."""


def feature_names(settings: ForecastingSettings) -> list[str]:
    """What each value of a step is, in order."""
    waves = [
        f"{wave}_{cycle.name}_{harmonic}"
        for cycle in settings.cycles
        for harmonic in range(1, cycle.harmonics + 1)
        for wave in ("sin", "cos")
    ]
    naive = [f"naive_{season}" for season in settings.seasons]
    return ["usual", "value", "known", "ahead", *naive, *waves, *settings.covariates]


def build_steps(
    settings: ForecastingSettings,
    values: Values,
    clock_s: NDArray[np.int64],
    covariates: Values,
) -> Floats:
    """The steps of series of one length.

    Args:
        settings: The model's.
        values: (series, context), in the user's unit; NaN where unknown.
        clock_s: (series, context + ahead), wall clock of each step, s since 1970 as if UTC.
        covariates: (series, context + ahead, covariates), all known.
    Returns:
        float32 (series, context + ahead, features), as `feature_names` says.
    """
    context = values.shape[1]
    num_steps = clock_s.shape[1]
    usual = np.array(settings.usual)[settings.phases(clock_s)]
    unusual = np.full(clock_s.shape, np.nan)
    unusual[:, :context] = values - usual[:, :context]
    known = ~np.isnan(unusual)
    ahead = np.maximum(np.arange(num_steps) - context + 1, 0) / settings.horizon
    columns = [usual, np.where(known, unusual, 0.0), known, np.broadcast_to(ahead, usual.shape)]
    columns += seasonal_naive(unusual[:, :context], settings.seasons, num_steps)
    for cycle in settings.cycles:
        turns = cycle.turns(clock_s, settings.step)
        for harmonic in range(1, cycle.harmonics + 1):
            angles = 2 * np.pi * harmonic * turns
            columns += [np.sin(angles), np.cos(angles)]
    steps = np.concatenate([np.stack(columns, axis=2), covariates], axis=2)
    return steps.astype(np.float32)


def seasonal_naive(values: Values, seasons: list[int], num_steps: int) -> list[Values]:
    """The last known value a whole number of seasons before each step, for each season.

    Where a season has none, the next shorter one's stands in; for the shortest, the mean of all
    known values, or 0.

    Args:
        values: (series, context), NaN where unknown.
        seasons: In steps, shortest first.
        num_steps: Steps to fill, the context's and those ahead.
    Returns:
        One (series, num_steps) a season, nothing unknown.
    """
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=1)
    mean = total / np.maximum(known.sum(axis=1), 1)
    shorter: Values = np.broadcast_to(mean[:, None], (len(values), num_steps))
    filled: list[Values] = []
    for season in seasons:
        latest = _latest_before(values, season, num_steps)
        shorter = np.where(np.isnan(latest), shorter, latest)
        filled.append(shorter)
    return filled


def _latest_before(values: Values, season: int, num_steps: int) -> Values:
    """As `seasonal_naive` for one season, NaN where there is none."""
    count, context = values.shape
    num_rows = -(-num_steps // season)
    padded = np.full((count, num_rows * season), np.nan)
    padded[:, :context] = values
    rows = padded.reshape(count, num_rows, season)  # a column holds steps a season apart
    places = np.arange(num_rows)[:, None]
    latest = np.maximum.accumulate(np.where(np.isnan(rows), 0, places), axis=1)
    carried = np.take_along_axis(rows, latest, axis=1)
    before = np.full_like(carried, np.nan)
    before[:, 1:] = carried[:, :-1]
    return before.reshape(count, -1)[:, :num_steps]
