from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.tasks.forecasting.frequency import Step
from service.tasks.forecasting.timeline import AbsoluteTimeline, regular
from service.tasks.forecasting.times import (
    TimeError,
    absolute_s,
    localise,
    read_time,
    read_zone,
    wall_s,
)

HOUR = Step(3_600, "second")
ZONES = ["Europe/Berlin", "America/Chicago", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]


@pytest.mark.parametrize("text", ["", "soon", "2024-13-01", "0001-01-01", "9999-12-31T00:00:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(TimeError):
        read_time(text)


@pytest.mark.parametrize("text", ["", "Mars/Olympus", "../../etc/passwd", "\0"])
def test_what_is_no_zone_is_refused(text: str) -> None:
    with pytest.raises(TimeError, match="is no time zone"):
        read_zone(text)


@pytest.mark.parametrize(
    ("texts", "place", "problem"),
    [
        (["2024-01-01T00", "2024-01-01T00"], 1, "is there twice"),
        (["2024-01-01T00", "2024-01-01T01", "2024-01-01T00"], 2, "is before"),
        (["2024-01-01T00", "2024-01-01T01:30"], 1, "no multiple of the step"),
        (["2024-01-01T00", "2024-01-01T01+00:00"], 1, "has an offset where others have none"),
    ],
)
def test_stamps_that_are_not_regular_are_named(texts: list[str], place: int, problem: str) -> None:
    with pytest.raises(TimeError, match=problem) as caught:
        regular([read_time(text) for text in texts], HOUR)
    assert caught.value.place == place


def test_the_day_that_is_23_hours_long() -> None:
    zone = ZoneInfo("Europe/Berlin")
    times = localise([datetime(2024, 3, 31, hour) for hour in (0, 1, 3, 4)], zone)
    timeline = regular(times, HOUR)
    assert timeline.places == [0, 1, 2, 3]
    assert [timeline.at(step).isoformat() for step in (1, 2, 4)] == [
        "2024-03-31T01:00:00+01:00",
        "2024-03-31T03:00:00+02:00",
        "2024-03-31T05:00:00+02:00",
    ]
    assert np.diff(timeline.clock_s(0, 4)).tolist() == [3_600, 7_200, 3_600]


def test_the_hour_that_the_clock_shows_twice() -> None:
    zone = ZoneInfo("America/Chicago")
    times = localise([datetime(2024, 11, 3, hour) for hour in (0, 1, 1, 2)], zone)
    assert regular(times, HOUR).places == [0, 1, 2, 3]
    assert [time.utcoffset() for time in times[1:3]] == [timedelta(hours=-5), timedelta(hours=-6)]


def test_a_change_of_the_clock_that_only_offsets_tell_of() -> None:
    texts = ["2024-03-31T01:00:00+01:00", "2024-03-31T03:00:00+02:00"]
    timeline = regular([read_time(text) for text in texts], HOUR)
    assert timeline.places == [0, 1]
    assert timeline.at(2).isoformat() == "2024-03-31T04:00:00+02:00"


@settings(max_examples=60, deadline=None)
@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1)),
    st.sampled_from(ZONES),
    st.sampled_from([900, 1_800, 3_600]),
    st.lists(st.integers(1, 40), min_size=1, max_size=8),
)
def test_any_step_is_so_many_seconds_after_the_first(
    first: datetime, zone: str, step_s: int, leaps: list[int]
) -> None:
    begin = first.replace(microsecond=0, tzinfo=UTC).astimezone(ZoneInfo(zone))
    places = np.cumsum([0, *leaps]).tolist()
    given_times = [
        (begin.astimezone(UTC) + timedelta(seconds=place * step_s)).astimezone(ZoneInfo(zone))
        for place in places
    ]
    timeline = regular(given_times, Step(step_s, "second"))
    assert timeline.places == places
    last = places[-1] + 50
    times = [timeline.at(step) for step in range(last)]
    assert [absolute_s(time) - absolute_s(begin) for time in times] == [
        step * step_s for step in range(last)
    ]
    assert timeline.clock_s(0, last).tolist() == [wall_s(time) for time in times]
    wall = begin.utcoffset() or timedelta()
    assert timeline.clock_s(-3, 1).tolist() == [
        int(absolute_s(begin) + wall.total_seconds()) + step * step_s for step in (-3, -2, -1, 0)
    ]


@given(st.integers(-5, 20), st.integers(1, 20))
def test_a_part_of_a_clock_is_that_part_of_the_whole(first: int, count: int) -> None:
    timeline = AbsoluteTimeline(60, [datetime(2024, 1, 1)], [0])
    whole = timeline.clock_s(-5, 40)
    assert timeline.clock_s(first, first + count).tolist() == (
        whole[first + 5 : first + 5 + count].tolist()
    )
