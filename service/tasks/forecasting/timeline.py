"""When the steps of a series are: stamps checked to be regular, and gone on from.

Steps of hours and less are regular in absolute time; days, weeks, business days and months are
regular on the wall clock, whose days may be 23 or 25 hours long.
"""

from __future__ import annotations

import calendar
from bisect import bisect_right
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from service.tasks.forecasting.frequency import DAY_S, LAST_DAY, Clock, Step
from service.tasks.forecasting.times import EPOCH, TimeError, absolute_s, later, wall_s

FRIDAY = 4


class Timeline(Protocol):
    """Regular steps, of which some are known."""

    @property
    def places(self) -> list[int]:
        """Step of each known time, from 0, ascending; others in between were left out."""

    def at(self, step: int) -> datetime:
        """The time of any step from the first on.

        Raises:
            TimeError: It is after the year 9999.
        """

    def clock_s(self, first: int, stop: int) -> NDArray[np.int64]:
        """Wall-clock time of steps `first` to `stop`, s since 1970 as if UTC; int64 (steps,).

        Raises:
            TimeError: One is after the year 9999.
        """


class AbsoluteTimeline(NamedTuple):
    """Steps of one length in absolute time, with the wall clock of each known one.

    Args:
        step_s: Seconds between steps.
        times: Of the steps known: all with an offset or zone, or all without.
        places: Step of each of `times`.
    """

    step_s: int
    times: list[datetime]
    places: list[int]

    def at(self, step: int) -> datetime:
        """By the known time at or before it."""
        index = bisect_right(self.places, step) - 1
        return later(self.times[index], (step - self.places[index]) * self.step_s)

    def clock_s(self, first: int, stop: int) -> NDArray[np.int64]:
        """Before the first step the clock is taken not to have been changed."""
        steps = np.arange(first, stop)
        places = np.array(self.places)
        nearest = np.maximum(np.searchsorted(places, steps, side="right") - 1, 0)
        begin = int(nearest[0])
        walls = np.array([wall_s(time) for time in self.times[begin : int(nearest[-1]) + 1]])
        clock_s: NDArray[np.int64] = walls[nearest - begin] + self.step_s * (
            steps - places[nearest]
        )
        if isinstance(self.times[0].tzinfo, ZoneInfo):  # whose clock may be changed in between
            for index in np.flatnonzero((steps > places[nearest]) & (steps > 0)).tolist():
                clock_s[index] = wall_s(self.at(first + index))
        return clock_s


class CalendarTimeline(NamedTuple):
    """Steps of the calendar, at one time of day.

    Args:
        step: Of days, business days or months.
        begin: The unit that step 0 is in, as `Step.units` counts.
        day: Of a month that has so many; `LAST_DAY` for its end.
        latest: The last known time: its time of day and its clock are those of all.
        places: Step of each known time.
    """

    step: Step
    begin: int
    day: int
    latest: datetime
    places: list[int]

    def at(self, step: int) -> datetime:
        """At the latest known one's time of day, on its clock."""
        (clock_s,) = self.clock_s(step, step + 1).tolist()
        wall = EPOCH + timedelta(seconds=clock_s, microseconds=self.latest.microsecond)
        return wall.replace(tzinfo=self.latest.tzinfo)

    def clock_s(self, first: int, stop: int) -> Clock:
        """The calendar goes on in both directions."""
        units = self.begin + self.step.count * np.arange(first, stop)
        clock_s = self.step.clock_s(units, self.day, wall_s(self.latest) % DAY_S)
        if len(clock_s) and clock_s[-1] > wall_s(datetime.max):
            raise TimeError("the series goes on beyond the year 9999")
        return clock_s


def regular(times: list[datetime], step: Step) -> Timeline:
    """The timeline of stamps that stand on it in order; steps may be left out.

    Days that are so many hours and not the calendar's, as days of UTC told in another zone, are
    taken as such.

    Raises:
        TimeError: Out of order, twice, between two steps, or some with an offset and some without.
    """
    for index, (before, time) in enumerate(pairwise(times), 1):
        if (time.tzinfo is None) != (before.tzinfo is None):
            raise TimeError("has an offset where others have none, or none where they do", index)
        if (after_s := absolute_s(time) - absolute_s(before)) <= 0:
            raise TimeError(f"{time.isoformat()} {_disorder(after_s, time)}", index)
    if step.seconds is not None and (step.unit == "second" or len({t.time() for t in times}) > 1):
        return _absolute(times, step.seconds)
    return _on_calendar(times, step)


CHANGE_S = 7_200
"""By which clocks are put back, at most."""


def _disorder(after_s: float, time: datetime) -> str:
    problem = "is there twice" if after_s == 0 else "is before the one before it"
    if time.tzinfo is None and after_s >= -CHANGE_S:
        problem += "; if clocks were put back, give a timezone, or offsets such as +01:00"
    return problem


def _absolute(times: list[datetime], step_s: int) -> AbsoluteTimeline:
    places = [0]
    for index, (before, time) in enumerate(pairwise(times), 1):
        after_s = absolute_s(time) - absolute_s(before)
        if after_s % step_s:
            raise TimeError(
                f"{time.isoformat()} is {after_s:g} s after the one before it, "
                f"no multiple of the step, {step_s} s",
                index,
            )
        places.append(places[-1] + round(after_s / step_s))
    return AbsoluteTimeline(step_s, times, places)


def _on_calendar(times: list[datetime], step: Step) -> CalendarTimeline:
    day = _day_of(times) if step.unit == "month" else 0
    for index, time in enumerate(times):
        if step.unit == "business day" and time.weekday() > FRIDAY:
            name = calendar.day_name[time.weekday()]
            raise TimeError(f"{time.isoformat()} is a {name}, no business day", index)
        if step.unit == "month" and time.day != min(day, _last_day(time)):
            place = "the last day of" if day == LAST_DAY else f"day {day} of"
            raise TimeError(f"{time.isoformat()} is not {place} its month, as others are", index)
    units = step.units(np.array([wall_s(time) for time in times]))
    places, rest = np.divmod(units - units[0], step.count)
    if (off := np.flatnonzero(rest)).size:
        index = int(off[0])
        raise TimeError(
            f"{times[index].isoformat()} is {units[index] - units[index - 1]} {step.unit}s after "
            f"the one before it, no multiple of the step, {step}",
            index,
        )
    if (twice := np.flatnonzero(np.diff(places) == 0)).size:
        index = int(twice[0]) + 1
        raise TimeError(f"{times[index].isoformat()} is in one {step.unit} with another", index)
    return CalendarTimeline(step, int(units[0]), day, times[-1], places.tolist())


def _day_of(times: list[datetime]) -> int:
    """The day of the month that stamps stand on; what ends all their months is `LAST_DAY`."""
    if all(time.day == _last_day(time) for time in times):
        return LAST_DAY
    first = times[0].day
    return first if first <= 28 else max(time.day for time in times)


def _last_day(time: datetime) -> int:
    return calendar.monthrange(time.year, time.month)[1]
