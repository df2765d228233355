"""One series of a request: checked, and cut to what a model looks at."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from service.errors import InvalidSequenceError
from service.tasks.forecasting.frequency import read_frequency
from service.tasks.forecasting.settings import ForecastingSettings
from service.tasks.forecasting.steps import Values
from service.tasks.forecasting.timeline import Timeline, regular
from service.tasks.forecasting.times import TimeError, localise, read_time, read_zone

MAX_VALUE = 1e30
"""Differences of such values are still finite float32s."""


class GivenSeries(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A series' history, and what is known of its future."""

    values: Annotated[list[float | None], Meta(description="oldest first; null where unknown")]
    timestamps: Annotated[
        list[str] | None, Meta(description="ISO 8601, of each value; or give start")
    ] = None
    start: Annotated[str | None, Meta(description="ISO 8601, of the first value")] = None
    frequency: Annotated[
        str | None,
        Meta(description="between steps, such as h, 30min, B or MS; the model's if left out"),
    ] = None
    timezone: Annotated[
        str | None, Meta(description="whose clock the calendar is read off, as Europe/Berlin")
    ] = None
    covariates: Annotated[
        dict[str, list[float]], Meta(description="by name, one number a value")
    ] = {}
    future_covariates: Annotated[
        dict[str, list[float]], Meta(description="likewise, one number a step ahead")
    ] = {}


class History(NamedTuple):
    """What a model looks at.

    Args:
        values: (context,), NaN where unknown.
        clock_s: int64 (context + horizon,), wall clock, s since 1970 as if UTC.
        covariates: (context + horizon, covariates).
        ahead: Times of the steps ahead, (horizon,).
    """

    values: Values
    clock_s: NDArray[np.int64]
    covariates: Values
    ahead: list[datetime]


def read_history(
    given: GivenSeries, settings: ForecastingSettings, horizon: int, field: str
) -> History:
    """What a model looks at to forecast a series.

    A shorter history than its context is filled up with unknown steps before the first.

    Args:
        given: The series.
        settings: The model's.
        horizon: Steps ahead.
        field: Where in the request the series is.

    Raises:
        InvalidSequenceError: It does not fit; names the field.
    """
    if not given.values:
        raise InvalidSequenceError(f"{field}.values is empty", f"{field}.values")
    timeline = _timeline(given, settings, field)
    places = range(len(given.values)) if given.timestamps is None else timeline.places
    num_steps = places[-1] + 1
    first, stop = num_steps - settings.context, num_steps + horizon
    with _named(f"{field}.{'start' if given.timestamps is None else 'timestamps'}"):
        clock_s = timeline.clock_s(first, stop)
        ahead = [timeline.at(step) for step in range(num_steps, stop)]
    values = _values(given.values, places, first, settings, f"{field}.values")
    return History(values, clock_s, _covariates(given, settings, num_steps, horizon, field), ahead)


def _timeline(given: GivenSeries, settings: ForecastingSettings, field: str) -> Timeline:
    """When the steps of the history are; of a series with a start alone, when the first is."""
    frequency = None
    if given.frequency is not None:
        with _named(f"{field}.frequency"):
            frequency = read_frequency(given.frequency)
        if frequency.step != settings.step:
            raise InvalidSequenceError(
                f"{field}.frequency is {frequency.step}, the model's is {settings.step}",
                f"{field}.frequency",
            )
    if (given.timestamps is None) == (given.start is None):
        where = f"{field}.timestamps"
        raise InvalidSequenceError(f"{where}: give either them or a start", where)
    if given.timestamps is None:
        name, texts = "start", [given.start or ""]
    else:
        name, texts = "timestamps", given.timestamps
        if len(texts) != len(given.values):
            raise InvalidSequenceError(
                f"{field}.timestamps are {len(texts)} for {len(given.values)} values",
                f"{field}.timestamps",
            )
    times = []
    for place, text in enumerate(texts):
        with _named(f"{field}.{name}" if given.timestamps is None else f"{field}.{name}[{place}]"):
            times.append(read_time(text))
    if given.timezone is not None:
        with _named(f"{field}.timezone"):
            zone = read_zone(given.timezone)
        with _named(f"{field}.{name}"):
            times = localise(times, zone, by_clock=settings.step.unit == "second")
    with _named(f"{field}.{name}"):
        if frequency is not None:
            frequency.check(times)
        return regular(times, settings.step)


@contextmanager
def _named(field: str) -> Iterator[None]:
    """Refuse what is no time in this field."""
    try:
        yield
    except TimeError as error:
        where = field if error.place is None else f"{field}[{error.place}]"
        raise InvalidSequenceError(f"{where}: {error}", where) from None


def _values(
    given: list[float | None],
    places: Sequence[int],
    first: int,
    settings: ForecastingSettings,
    field: str,
) -> Values:
    """The values of the context, (context,), that begins with step `first`."""
    values = np.full(settings.context, np.nan)
    for index in range(bisect_left(places, first), len(given)):
        value = given[index]
        if value is not None:
            if abs(value) > MAX_VALUE:
                where = f"{field}[{index}]"
                raise InvalidSequenceError(f"{where} is {value:g}, which is too large", where)
            values[places[index] - first] = value
    unknown = np.isnan(values)
    if (num_known := int((~unknown).sum())) < settings.min_known:
        raise InvalidSequenceError(
            f"{field} has {num_known} known values in the last {settings.context} steps, "
            f"the model needs {settings.min_known}",
            field,
        )
    known = np.flatnonzero(~unknown)
    gap = int(np.diff(known, append=settings.context).max()) - 1
    if gap > settings.max_gap:
        raise InvalidSequenceError(
            f"{field} has a gap of {gap} steps, the model goes on over {settings.max_gap} at most",
            field,
        )
    return values


def _covariates(
    given: GivenSeries, settings: ForecastingSettings, num_steps: int, horizon: int, field: str
) -> Values:
    """Of the context and the steps ahead, (context + horizon, covariates).

    Before the first step of a short history they are as at that step.
    """
    past = _columns(given.covariates, settings.covariates, len(given.values), f"{field}.covariates")
    future = _columns(
        given.future_covariates, settings.covariates, horizon, f"{field}.future_covariates"
    )
    if settings.covariates and num_steps != len(given.values):
        raise InvalidSequenceError(
            f"{field}.timestamps leaves steps out, of which the covariates are not known: "
            "give all steps, with null for unknown values",
            f"{field}.timestamps",
        )
    shorter = max(settings.context - len(past), 0)
    return np.concatenate([past[:1].repeat(shorter, axis=0), past[-settings.context :], future])


def _columns(given: dict[str, list[float]], names: list[str], num_steps: int, field: str) -> Values:
    """Covariates by name as one array (steps, covariates)."""
    if unknown := given.keys() - {*names}:
        where = f"{field}.{min(unknown)}"
        raise InvalidSequenceError(f"{where} is no covariate of the model's: {names}", where)
    for name in names:
        where = f"{field}.{name}"
        if name not in given:
            raise InvalidSequenceError(f"{where} is missing", where)
        if len(given[name]) != num_steps:
            raise InvalidSequenceError(
                f"{where} has {len(given[name])} values for {num_steps} steps", where
            )
        for index, value in enumerate(given[name]):
            if abs(value) > MAX_VALUE:
                where = f"{where}[{index}]"
                raise InvalidSequenceError(f"{where} is {value:g}, which is too large", where)
    columns = [given[name] for name in names]
    return np.array(columns, dtype=np.float64).reshape(len(names), num_steps).T
