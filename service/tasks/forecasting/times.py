"""Time stamps: read, placed in a zone, in absolute time and on the wall clock.

Where a day is 23 or 25 hours long the two differ, and offsets (`+01:00`) or a time zone tell how.
Stamps without either are a wall clock that never changes.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

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
