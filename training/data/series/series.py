"""A series in regular steps, its gaps known as such; any CSV file with a time column.

    time,load,holiday
    2024-01-01T00:00:00,31.5,1
    2024-01-01T01:00:00,,1          no value: a gap
    2024-01-01T03:00:00,29.8,1      a step left out: a gap too

Covariates are what is known of the future as well; at steps left out they stay as they were.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, tzinfo

import numpy as np
from numpy.typing import NDArray

from service.tasks.forecasting.frequency import Frequency
from service.tasks.forecasting.settings import ForecastingSettings
from service.tasks.forecasting.steps import Values, build_steps
from service.tasks.forecasting.timeline import regular
from service.tasks.forecasting.times import TimeError, localise, read_time
from training.data.reading import DataError, Reading, parse_table


@dataclasses.dataclass(frozen=True)
class Series:
    """One series.

    Args:
        values: (steps,), NaN where unknown.
        clock_s: int64 (steps,), wall clock, s since 1970 as if UTC.
        covariates: (steps, covariates).
    """

    values: Values
    clock_s: NDArray[np.int64]
    covariates: Values

    def windows(
        self, settings: ForecastingSettings, origins: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], Values]:
        """Steps (origins, context + horizon, features) and the truth (origins, horizon)."""
        history, places = self.history(settings, origins), self.places(settings, origins)
        steps = build_steps(settings, history, self.clock_s[places], self.covariates[places])
        return steps, self.values[places[:, settings.context :]]

    def history(self, settings: ForecastingSettings, origins: NDArray[np.int64]) -> Values:
        """What is known at each origin, the first step ahead: a copy (origins, context)."""
        found: Values = self.values[self.places(settings, origins)[:, : settings.context]]
        return found

    @staticmethod
    def places(settings: ForecastingSettings, origins: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where in the series each window's steps are: (origins, context + horizon)."""
        steps = np.arange(-settings.context, settings.horizon)
        places: NDArray[np.int64] = origins[:, None] + steps
        return places


@dataclasses.dataclass(frozen=True)
class SeriesSet:
    """A series with its parts in order of time: learnt from, validation, test."""

    name: str
    licence: str
    series: Series
    settings: ForecastingSettings
    stops: tuple[int, int]
    """Where learning ends and validation begins, and where the test does."""
    split: str

    def origins(self, part: str, every: int = 1) -> NDArray[np.int64]:
        """First steps of all forecasts that lie within a part; history may lie before it."""
        bounds = [0, *self.stops, len(self.series.values)]
        place = ("train", "validation", "test").index(part)
        first = max(bounds[place], self.settings.context)
        return np.arange(first, bounds[place + 1] - self.settings.horizon + 1, every)

    @property
    def learnt(self) -> Series:
        """What is learnt from, alone."""
        stop = self.stops[0]
        series = self.series
        return Series(series.values[:stop], series.clock_s[:stop], series.covariates[:stop])


def read_series(
    text: str,
    name: str,
    time: str,
    target: str,
    covariates: list[str],
    frequency: Frequency,
    reading: Reading | None = None,
    zone: tzinfo | None = None,
) -> Series:
    """Read a CSV file's text.

    Args:
        text: With a row of column names first.
        name: Of the file, for errors.
        time: The column of ISO 8601 times, ascending; steps may be left out.
        target: The column to forecast; empty where unknown.
        covariates: Columns that are known everywhere.
        frequency: Of the steps.
        reading: How the table is to be read.
        zone: Whose clock the calendar is read off; None: that of the times, as they are.

    Raises:
        DataError: It is not so: names the file, the line and the column.
    """
    table = parse_table(text, name, Reading(header=True) if reading is None else reading)
    places = [table.index(column) for column in (time, target, *covariates)]
    times: list[datetime] = []
    rows: list[list[float]] = []
    for row in table.rows:
        stamp, *cells = (table.cell(row, place) for place in places)
        try:
            times.append(read_time(stamp))
        except TimeError as error:
            raise DataError(f"{table.place(row)}, {time}: {error}") from error
        value = _number(cells[0] or "nan", f"{table.place(row)}, {target}")
        known = [
            _known(cell, f"{table.place(row)}, {column}")
            for cell, column in zip(cells[1:], covariates, strict=True)
        ]
        rows.append([value, *known])
    if not rows:
        raise DataError(f"{name}: no rows")
    try:
        if zone is not None:
            times = localise(times, zone, by_clock=frequency.step.unit == "second")
        frequency.check(times)
        timeline = regular(times, frequency.step)
    except TimeError as error:
        line = table.rows[error.place or 0].line
        raise DataError(f"{name}, line {line}, {time}: {error}") from error
    numbers, num_steps = np.array(rows), timeline.places[-1] + 1
    latest = np.searchsorted(timeline.places, np.arange(num_steps), side="right") - 1
    values = np.full(num_steps, np.nan)
    values[timeline.places] = numbers[:, 0]
    return Series(values, timeline.clock_s(0, num_steps), numbers[latest, 1:])


def _number(text: str, place: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise DataError(f"{place}: {text!r} is no number") from None
    if np.isinf(number):
        raise DataError(f"{place}: the value is infinite")
    return number


def _known(text: str, place: str) -> float:
    number = _number(text, place)
    if np.isnan(number):
        raise DataError(f"{place}: the value is not known")
    return number


def usual_of(values: Values, phases: NDArray[np.int64], num_phases: int) -> list[float]:
    """The median of the known values at each phase of a cycle.

    Raises:
        DataError: A phase has none.
    """
    usual: list[float] = []
    for phase in range(num_phases):
        known = values[(phases == phase) & ~np.isnan(values)]
        if not known.size:
            raise DataError(
                f"step {phase} of a cycle of {num_phases} has no known value to learn from: "
                "give a longer series or shorter cycles"
            )
        usual.append(float(np.median(known)))
    return usual
