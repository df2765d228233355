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


def localise(times: list[datetime], zone: tzinfo, *, by_clock: bool) -> list[datetime]:
    """Times in a zone: those with an offset converted, others taken as its wall clock.

    An hour that the clock shows twice, as it is put back, is the first of the two, unless that is
    not later than the stamp before it. At the beginning it is the second, unless it comes again.

    Args:
        times: Ascending.
        zone: Whose clock they are read off.
        by_clock: Steps are of the clock, not of the calendar: what hour a stamp means matters.

    Raises:
        TimeError: By the clock, a stamp shows an hour that it leaves out, as it is put forward; or
            shows one of two, and nothing tells which.
    """
    local: list[datetime] = []
    num_open = 0  # first stamps that may be of either of two hours
    for place, time in enumerate(times):
        placed = time.astimezone(zone) if time.tzinfo else time.replace(tzinfo=zone, fold=0)
        if time.tzinfo is None:
            if by_clock and is_left_out(placed):
                raise TimeError(_left_out(placed), place if len(times) > 1 else None)
            if local and absolute_s(placed) <= absolute_s(local[-1]):
                placed = placed.replace(fold=1)
            elif num_open == place and is_twice(placed):
                num_open += 1
        local.append(placed)
    if num_open == len(times):
        if by_clock:
            raise TimeError(_twice(local[0]), 0 if len(times) > 1 else None)
    elif not local[num_open].fold:
        local[:num_open] = [time.replace(fold=1) for time in local[:num_open]]
    return local


def is_left_out(time: datetime) -> bool:
    """Whether its zone's clock never shows it, as it is put forward."""
    return _shown(time).replace(tzinfo=None) != time.replace(tzinfo=None)


def is_twice(time: datetime) -> bool:
    """Whether its zone's clock shows it twice, as it is put back."""
    first, second = (time.replace(fold=fold).utcoffset() for fold in (0, 1))
    return first != second and not is_left_out(time)


def _shown(time: datetime) -> datetime:
    return time.astimezone(UTC).astimezone(time.tzinfo)


def _left_out(time: datetime) -> str:
    wall = time.replace(tzinfo=None).isoformat()
    return (
        f"{wall} does not exist in {time.tzinfo}, where clocks were put forward: "
        "write the time that they showed, or one with its offset, such as "
        f"{_shown(time).isoformat()}"
    )


def _twice(time: datetime) -> str:
    wall = time.replace(tzinfo=None).isoformat()
    first, second = (time.replace(fold=fold).isoformat() for fold in (0, 1))
    return (
        f"{wall} is there twice in {time.tzinfo}, where clocks were put back: "
        f"write it with its offset, {first} or {second}"
    )


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
