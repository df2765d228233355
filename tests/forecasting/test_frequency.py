"""Frequencies as several communities write them, and steps of the calendar against dateutil's."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from dateutil.relativedelta import relativedelta
from dateutil.rrule import DAILY, FR, MO, MONTHLY, TH, TU, WE, rrule
from hypothesis import given, settings
from hypothesis import strategies as st

from service.tasks.forecasting.frequency import Step, read_frequency
from service.tasks.forecasting.timeline import CalendarTimeline, Timeline, regular
from service.tasks.forecasting.times import TimeError, localise, read_time, wall_s

MONTH, QUARTER, YEAR = (Step(count, "month") for count in (1, 3, 12))
BUSINESS_DAY = Step(1, "business day")

FREQUENCIES = {
    Step(1, "second"): ["S", "s", "sec", "second", "PT1S"],
    Step(60, "second"): ["T", "min", "minute", "PT1M", "60s"],
    Step(1_800, "second"): ["30min", "PT30M", "30T"],
    Step(3_600, "second"): ["h", "H", "hour", "PT1H"],
    Step(7_200, "second"): ["2 h", "2H"],
    Step(1, "day"): ["D", "d", "day", "P1D", "24h", "PT24H"],
    Step(7, "day"): ["W", "week", "P1W", "P7D", "W-SUN", "7D"],
    BUSINESS_DAY: ["B", "b"],
    MONTH: ["M", "MS", "ME", "month", "P1M", "1M"],
    QUARTER: ["Q", "QS", "QE", "QE-DEC", "QS-OCT", "Q-JAN", "quarter", "P3M", "3MS"],
    YEAR: ["Y", "YE", "YS", "A", "AS", "YE-DEC", "Y-MAR", "year", "P1Y", "12M", "4Q"],
    Step(24, "month"): ["2Y", "P2Y"],
}


@pytest.mark.parametrize("step", FREQUENCIES, ids=str)
def test_a_frequency_is_read_as_its_users_write_it(step: Step) -> None:
    for text in FREQUENCIES[step]:
        assert read_frequency(text).step == step, text
    assert read_frequency(step.name).step == step


@pytest.mark.parametrize(
    "text",
    ["", "0h", "-1h", "1.5h", "hh", "h 2", "m", "ms", "me", "BME", "P1M2D", "P0D", "P", "W-JAN",
     "Q-SUN", "M-JAN", "D-MON", "0M"],
)  # fmt: skip
def test_what_is_no_frequency_is_refused(text: str) -> None:
    with pytest.raises(TimeError, match="is no frequency, such as 'h'"):
        read_frequency(text)


@pytest.mark.parametrize(
    ("frequency", "texts", "place", "problem"),
    [
        ("MS", ["2024-01-01", "2024-02-02"], 1, "is not the first day of its month"),
        ("ME", ["2024-01-31", "2024-02-28"], 1, "is not the last day of its month"),
        ("QE-DEC", ["2024-03-31", "2024-07-31"], 1, "is not in MAR, JUN, SEP, DEC"),
        ("YS-APR", ["2024-01-01"], 0, "is not in APR"),
        ("W-MON", ["2024-01-01", "2024-01-09"], 1, "is a Tuesday, frequency is 'W-MON'"),
    ],
)
def test_a_stamp_stands_where_its_frequency_says(
    frequency: str, texts: list[str], place: int, problem: str
) -> None:
    with pytest.raises(TimeError, match=problem) as caught:
        read_frequency(frequency).check([read_time(text) for text in texts])
    assert caught.value.place == place


@pytest.mark.parametrize(
    ("step", "texts", "place", "problem"),
    [
        (MONTH, ["2024-01-01", "2024-02-01", "2024-03-02"], 2, "is not day 1 of its month"),
        (MONTH, ["2024-01-31", "2024-02-29", "2024-03-30"], 2, "is not the last day of its month"),
        (MONTH, ["2024-01-01T00", "2024-01-01T12"], 1, "is in one month with another"),
        (QUARTER, ["2024-01-01", "2024-03-01"], 1, "is 2 months after .* of the step, 3 months"),
        (BUSINESS_DAY, ["2024-01-05", "2024-01-06"], 1, "is a Saturday, no business day"),
        (Step(2, "day"), ["2024-01-01", "2024-01-04"], 1, "is 3 days after"),
        (MONTH, ["2024-02-01", "2024-01-01"], 1, "is before"),
        (MONTH, ["2024-02-01", "2024-02-01"], 1, "is there twice"),
    ],
)
def test_stamps_off_the_calendar_are_named(
    step: Step, texts: list[str], place: int, problem: str
) -> None:
    with pytest.raises(TimeError, match=problem) as caught:
        regular([read_time(text) for text in texts], step)
    assert caught.value.place == place


def stamps(start: str, step: Step, count: int) -> list[str]:
    timeline = regular([read_time(start)], step)
    return [timeline.at(place).isoformat() for place in range(count)]


def test_what_ends_a_month_goes_on_at_the_ends_of_months() -> None:
    def days(start: str, step: Step) -> list[str]:
        return [stamp[:10] for stamp in stamps(start, step, 4)]

    assert days("2023-01-31", MONTH) == ["2023-01-31", "2023-02-28", "2023-03-31", "2023-04-30"]
    assert days("2024-02-29", MONTH) == ["2024-02-29", "2024-03-31", "2024-04-30", "2024-05-31"]
    assert days("2023-01-30", MONTH) == ["2023-01-30", "2023-02-28", "2023-03-30", "2023-04-30"]
    assert days("2024-03-31", QUARTER) == ["2024-03-31", "2024-06-30", "2024-09-30", "2024-12-31"]
    assert days("2024-02-29", YEAR) == ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28"]
    assert days("2024-01-04", BUSINESS_DAY) == [
        "2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09"
    ]  # fmt: skip


def test_the_calendar_is_the_wall_clocks() -> None:
    zone = ZoneInfo("Europe/Berlin")
    for step, texts, following in [
        (Step(1, "day"), ["2024-03-30", "2024-03-31"], "2024-04-01T00:00:00+02:00"),
        (MONTH, ["2024-02-01", "2024-03-01"], "2024-04-01T00:00:00+02:00"),
        (BUSINESS_DAY, ["2024-03-28T09:00", "2024-03-29T09:00"], "2024-04-01T09:00:00+02:00"),
    ]:
        timeline = regular(localise([read_time(it) for it in texts], zone, by_clock=False), step)
        assert timeline.at(2).isoformat() == following
        assert timeline.places == [0, 1]
    offsets = [read_time(f"2024-03-31T00:00+0{hours}:00") for hours in (1, 1)]
    offsets[1] = read_time("2024-04-01T00:00+02:00")  # 23 hours later
    assert regular(offsets, Step(1, "day")).at(2).isoformat() == "2024-04-02T00:00:00+02:00"


def test_days_of_utc_told_in_a_zone_are_absolute() -> None:
    zone = ZoneInfo("Europe/Berlin")
    utc = [read_time(f"2024-{day}T00:00Z") for day in ("03-30", "03-31", "04-01")]
    timeline = regular(localise(utc, zone, by_clock=False), Step(1, "day"))
    assert timeline.at(3).isoformat() == "2024-04-02T02:00:00+02:00"


DATES = st.dates(date(1900, 1, 1), date(2150, 1, 1))


@settings(max_examples=150, deadline=None)
@given(DATES, st.integers(1, 30), st.integers(0, 23), st.lists(st.integers(1, 30), max_size=6))
def test_months_are_dateutils(first: date, count: int, hour: int, leaps: list[int]) -> None:
    begin = datetime(first.year, first.month, first.day, hour)
    ends = (begin + timedelta(days=1)).month != begin.month
    kept = [0, *np.cumsum(leaps).tolist()]
    last = kept[-1] + 12
    if ends:
        rule = rrule(MONTHLY, begin, count=count * last + 1, bymonthday=-1)
        expected = list(rule)[::count]
    else:
        expected = [begin + relativedelta(months=count * place) for place in range(last + 1)]
    # at the end of February, days 29 and 30 can't be told from the end of each month
    known = [expected[place] for place in kept]
    timeline = regular(known, Step(count, "month"))
    assert timeline.places == kept
    assert [timeline.at(place) for place in range(last + 1)] == expected
    clock_s = timeline.clock_s(-40, last + 1)
    assert clock_s[40:].tolist() == [wall_s(time) for time in expected]
    assert (np.diff(clock_s) > 0).all()
    check_backwards(timeline)


@settings(max_examples=100, deadline=None)
@given(DATES, st.integers(1, 9), st.lists(st.integers(1, 30), max_size=6))
def test_business_days_are_dateutils(first: date, count: int, leaps: list[int]) -> None:
    kept = [0, *np.cumsum(leaps).tolist()]
    last = kept[-1] + 12
    rule = rrule(
        DAILY,
        datetime(first.year, first.month, first.day),
        count=count * last + 1,
        byweekday=(MO, TU, WE, TH, FR),
    )
    expected = list(rule)[::count]
    timeline = regular([expected[place] for place in kept], Step(count, "business day"))
    assert timeline.places == kept
    assert [timeline.at(place) for place in range(last + 1)] == expected
    check_backwards(timeline)


def check_backwards(timeline: Timeline) -> None:
    """Before the first step the calendar goes on alike, each unit's clock in that unit."""
    assert isinstance(timeline, CalendarTimeline)
    clock_s = timeline.clock_s(-50, 50)
    units = timeline.step.units(clock_s)
    assert np.diff(units).tolist() == [timeline.step.count] * 99
