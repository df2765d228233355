"""How far each step of a series is from the next: seconds, or a piece of the calendar.

Frequencies are read as pandas' users (`h`, `30min`, `MS`, `QE-DEC`, `B`), KServe's (`H`, `month`)
and ISO 8601 (`P1M`, `PT15M`) write them. Months are of unlike lengths, business days are Monday to
Friday, and a day or a week is one on the wall clock, however many hours it has.
"""

from __future__ import annotations

import calendar
import dataclasses
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.tasks.forecasting.times import TimeError

DAY_S = 86_400
MONDAY_S = 4 * DAY_S
"""Where weeks begin: 1970-01-01 was a Thursday."""
LAST_DAY = 31
"""Of the month: stands for its end, however long it is."""

Unit = Literal["second", "day", "business day", "month"]
Edge = Literal["first", "last"]
Clock = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Step:
    """So many units from one step to the next."""

    count: int
    unit: Unit

    def __str__(self) -> str:
        """In words."""
        return f"{self.count} {self.unit}{'s' if self.count > 1 else ''}"

    @property
    def name(self) -> str:
        """The shortest that `read_frequency` reads."""
        for unit, count, name in NAMES:
            if unit == self.unit and self.count % count == 0:
                return f"{self.count // count if self.count > count else ''}{name}"
        raise AssertionError(self.unit)

    @property
    def seconds(self) -> int | None:
        """Its length, where it has one that is fixed (but for changes of the clock)."""
        return {"second": self.count, "day": self.count * DAY_S}.get(self.unit)

    def units(self, clock_s: Clock) -> Clock:
        """Which unit each time of the wall clock is in, from 1970 on; a weekend is in its Friday.

        Args:
            clock_s: int64, s since 1970 as if UTC.
        """
        if self.unit == "month":
            return clock_s.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
        if self.unit == "second":
            return clock_s - MONDAY_S
        days = (clock_s - MONDAY_S) // DAY_S
        if self.unit == "day":
            return days
        weeks, weekdays = np.divmod(days, 7)
        units: Clock = weeks * 5 + np.minimum(weekdays, 4)
        return units

    def clock_s(self, units: Clock, day: int, time_s: int) -> Clock:
        """The wall clock in these units, s since 1970 as if UTC: what `units` takes.

        Args:
            units: Days, business days or months.
            day: Of a month, as far as it has so many; `LAST_DAY` for its end.
            time_s: Of the day.
        """
        if self.unit == "month":
            months = units.astype("datetime64[M]")
            begins, ends = months.astype("datetime64[D]"), (months + 1).astype("datetime64[D]")
            days = np.minimum(begins.astype(np.int64) + day, ends.astype(np.int64)) - 1
        elif self.unit == "business day":
            days = units // 5 * 7 + units % 5 + MONDAY_S // DAY_S
        else:
            days = units + MONDAY_S // DAY_S
        clock_s: Clock = days * DAY_S + time_s
        return clock_s

    @classmethod
    def of_seconds(cls, step_s: int) -> Step:
        """A step of fixed length; whole days are the calendar's."""
        days, rest_s = divmod(step_s, DAY_S)
        return cls(step_s, "second") if rest_s else cls(days, "day")


NAMES: list[tuple[Unit, int, str]] = [
    ("month", 12, "Y"), ("month", 3, "Q"), ("month", 1, "M"), ("business day", 1, "B"),
    ("day", 7, "W"), ("day", 1, "D"), ("second", 3_600, "h"), ("second", 60, "min"),
    ("second", 1, "s"),
]  # fmt: skip
UNITS: dict[str, Step] = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), Step(1, "second")),
    **dict.fromkeys(("t", "min", "minute", "minutes"), Step(60, "second")),
    **dict.fromkeys(("h", "hour", "hours"), Step(3_600, "second")),
    **dict.fromkeys(("d", "day", "days"), Step(1, "day")),
    **dict.fromkeys(("w", "week", "weeks"), Step(7, "day")),
    "b": Step(1, "business day"),
    **dict.fromkeys(("month", "months"), Step(1, "month")),
    **dict.fromkeys(("q", "qs", "qe", "quarter", "quarters"), Step(3, "month")),
    **dict.fromkeys(("y", "ys", "ye", "a", "as", "year", "years"), Step(12, "month")),
}
"""In any case; `M`, `MS` and `ME` in capitals alone, for `m` is a minute to many, `ms` less."""
MONTHS = dict.fromkeys(("M", "MS", "ME"), Step(1, "month"))
EDGES: dict[str, Edge] = {
    "MS": "first", "QS": "first", "YS": "first", "AS": "first",
    "ME": "last", "QE": "last", "YE": "last",
}  # fmt: skip
ANCHORS = [name.upper() for name in calendar.month_abbr[1:]]
WEEKDAYS = [name.upper() for name in calendar.day_abbr]
FREQUENCY = re.compile(r"(\d{0,6})\s*([A-Za-z]+)(?:-([A-Za-z]{3}))?")
DURATION = re.compile(r"P(?:(\d{1,6})([YMWD])|T(\d{1,6})([HMS]))")
TIMES = {"H": "h", "M": "min", "S": "s"}


class Frequency(NamedTuple):
    """A step, and where stamps are to stand.

    Args:
        text: As it was written.
        step: From one stamp to the next.
        edge: Of their months; None: on any day.
        months: Which of the year; all of them where it is empty.
        weekday: 0 is Monday; None: any.
    """

    text: str
    step: Step
    edge: Edge | None = None
    months: Sequence[int] = ()
    weekday: int | None = None

    def check(self, times: Sequence[datetime]) -> None:
        """Refuse stamps that don't stand where the frequency says.

        Raises:
            TimeError: Naming the first that does not.
        """
        for place, time in enumerate(times):
            if self.edge and time.day != (
                1 if self.edge == "first" else calendar.monthrange(time.year, time.month)[1]
            ):
                problem = f"is not the {self.edge} day of its month"
            elif self.months and time.month not in self.months:
                problem = f"is not in {', '.join(ANCHORS[month - 1] for month in self.months)}"
            elif self.weekday is not None and time.weekday() != self.weekday:
                problem = f"is a {calendar.day_name[time.weekday()]}"
            else:
                continue
            raise TimeError(f"{time.isoformat()} {problem}, frequency is {self.text!r}", place)


def read_frequency(text: str) -> Frequency:
    """The frequency that a text says.

    Raises:
        TimeError: None that is known.
    """
    written = text.strip()
    if duration := DURATION.fullmatch(written):
        count, unit = duration[1] or duration[3], duration[2] or TIMES[duration[4]]
        anchor = None
    elif match := FREQUENCY.fullmatch(written):
        count, unit, anchor = match[1] or "1", match[2], match[3]
    else:
        raise _unknown(text)
    step = MONTHS.get(unit) or UNITS.get(unit.lower())
    if step is None or not int(count):
        raise _unknown(text)
    whole = Step(int(count) * step.count, step.unit)
    if whole.seconds is not None:
        whole = Step.of_seconds(whole.seconds)
    frequency = Frequency(text, whole, EDGES.get(unit.upper()))
    return _anchored(frequency, step, anchor.upper()) if anchor else frequency


def _anchored(frequency: Frequency, step: Step, anchor: str) -> Frequency:
    """With the month or the weekday after its dash."""
    if step == UNITS["w"] and anchor in WEEKDAYS:
        return frequency._replace(weekday=WEEKDAYS.index(anchor))
    if step.unit == "month" and step.count > 1 and anchor in ANCHORS:
        place = ANCHORS.index(anchor)
        months = sorted((place + after) % 12 + 1 for after in range(0, 12, step.count))
        # pandas' `Q-DEC` and `Y-DEC` are of their last days, as `QE-DEC`
        return frequency._replace(months=months)
    raise _unknown(frequency.text)


def _unknown(text: str) -> TimeError:
    return TimeError(
        f"{text!r} is no frequency, such as 'h', '30min', 'D', 'W', 'B' (business days), 'MS' or "
        "'ME' (months), 'Q', 'Y' or 'P1M'; 'm' could be a minute or a month: write 'min' or 'M'"
    )
