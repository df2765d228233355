"""Time stamps of a series: read, checked to be regular, gone on from.

Steps are regular in absolute time; the calendar is the wall clock's. Where a day is 23 or 25 hours
long the two differ, and offsets (`+01:00`) or a time zone tell how. Stamps without either are a
wall clock that never changes.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

UNITS_S = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1),
    **dict.fromkeys(("t", "min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hour", "hours"), 3_600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "week", "weeks"), 604_800),
}
FREQUENCY = re.compile(r"(\d{0,6})\s*([A-Za-z]+)")
EPOCH = datetime(1970, 1, 1)


class TimeError(ValueError):
    """Raised when a time stamp is not what it should be.

    Args:
        message: What is wrong.
        place: Which of the stamps; None if it is no one stamp.
    """

    def __init__(self, message: str, place: int | None = None) -> None:
        super().__init__(message)
        self.place = place


def read_frequency(text: str) -> int:
    """Seconds between steps of `h`, `30min`, `day`…

    Raises:
        TimeError: Unknown, or of no fixed length, as a month is.
    """
    match = FREQUENCY.fullmatch(text.strip())
    step_s = int(match[1] or 1) * UNITS_S.get(match[2].lower(), 0) if match else 0
    if not step_s:  # `M` among them: a month to those who write it so
        raise TimeError(f"{text!r} is no step of fixed length, such as '30min', 'h', 'day' or 'W'")
    return step_s


def read_zone(text: str) -> ZoneInfo:
    """The time zone of a name such as `Europe/Berlin`.

    Raises:
        TimeError: There is none of that name.
    """
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise TimeError(f"{text!r} is no time zone, such as 'Europe/Berlin'") from error


def read_time(text: str) -> datetime:
    """An ISO 8601 date or time, with or without an offset.

    Raises:
        TimeError: It is none, or too near to the calendar's ends to go on from.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise TimeError(f"{text!r} is no ISO 8601 time, such as '2018-05-08T13:00:00'") from error
    if not 1 < time.year < 8_000:
        raise TimeError(f"{text!r}: years from 2 to 7999 are known")
    return time


class Timeline(NamedTuple):
    """Regular steps in absolute time, with the wall clock of each known one.

    Args:
        step_s: Seconds between steps.
        times: Of the steps known: all with an offset or zone, or all without.
        places: Step of each of `times`, from 0, ascending; others in between were left out.
    """

    step_s: int
    times: list[datetime]
    places: list[int]

    def at(self, step: int) -> datetime:
        """The time of any step from the first on, by the known one at or before it."""
        index = bisect_right(self.places, step) - 1
        return later(self.times[index], (step - self.places[index]) * self.step_s)

    def clock_s(self, first: int, stop: int) -> NDArray[np.int64]:
        """Wall-clock time of steps `first` to `stop`, s since 1970 as if UTC; int64 (steps,).

        Before the first step the clock is taken not to have been changed.
        """
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


def regular(times: list[datetime], step_s: int) -> Timeline:
    """The timeline of stamps that stand on it in order; steps may be left out.

    Raises:
        TimeError: Out of order, twice, between two steps, or some with an offset and some without.
    """
    places = [0]
    for index, (before, time) in enumerate(pairwise(times), 1):
        if (time.tzinfo is None) != (before.tzinfo is None):
            raise TimeError("has an offset where others have none, or none where they do", index)
        after_s = absolute_s(time) - absolute_s(before)
        if after_s <= 0:
            problem = "is there twice" if after_s == 0 else "is before the one before it"
            raise TimeError(f"{time.isoformat()} {problem}", index)
        if after_s % step_s:
            raise TimeError(
                f"{time.isoformat()} is {after_s:g} s after the one before it, "
                f"no multiple of the step, {step_s} s",
                index,
            )
        places.append(places[-1] + round(after_s / step_s))
    return Timeline(step_s, times, places)


def localise(times: list[datetime], zone: tzinfo) -> list[datetime]:
    """Times in a zone: those with an offset converted, others taken as its wall clock.

    An hour that the clock shows twice is the first of the two, unless that is not later than the
    stamp before it.
    """
    local: list[datetime] = []
    for time in times:
        if time.tzinfo is not None:
            local.append(time.astimezone(zone))
            continue
        placed = time.replace(tzinfo=zone, fold=0)
        if local and absolute_s(placed) <= absolute_s(local[-1]):
            placed = placed.replace(fold=1)
        local.append(placed)
    return local


def later(time: datetime, seconds: int) -> datetime:
    """A time so many seconds after another, absolutely, on the same clock.

    Raises:
        TimeError: It is after the year 9999.
    """
    try:
        if time.tzinfo is None:
            return time + timedelta(seconds=seconds)
        return (time.astimezone(UTC) + timedelta(seconds=seconds)).astimezone(time.tzinfo)
    except OverflowError:
        raise TimeError("the series goes on beyond the year 9999") from None


def absolute_s(time: datetime) -> float:
    """Seconds since 1970; of a time without an offset, as if it were UTC."""
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def wall_s(time: datetime) -> int:
    """What the clock on the wall shows, whole s since 1970 as if UTC."""
    return int((time.replace(tzinfo=None) - EPOCH).total_seconds())
