from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
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
from tests.servers import CHECKOUT

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
    times = localise([datetime(2024, 3, 31, hour) for hour in (0, 1, 3, 4)], zone, by_clock=True)
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
    hours = [datetime(2024, 11, 3, hour) for hour in (0, 1, 1, 2)]
    times = localise(hours, zone, by_clock=True)
    assert regular(times, HOUR).places == [0, 1, 2, 3]
    assert [time.utcoffset() for time in times[1:3]] == [timedelta(hours=-5), timedelta(hours=-6)]


def placed(zone: str, *texts: str, by_clock: bool = True) -> list[str]:
    """The offset of each stamp in a zone."""
    times = localise([read_time(text) for text in texts], ZoneInfo(zone), by_clock=by_clock)
    return [time.isoformat()[-6:] for time in times]


@pytest.mark.parametrize(
    ("zone", "texts", "offsets"),
    [
        # at the beginning: the second, which is nearer to what follows, unless it comes again
        ("America/Chicago", ["2024-11-03T01", "2024-11-03T02"], ["-06:00", "-06:00"]),
        ("America/Chicago", ["2024-11-03T01", "2024-11-03T01"], ["-05:00", "-06:00"]),
        (
            "Europe/Berlin",
            ["2024-10-27T02:30", "2024-10-27T02:45", "2024-10-27T03:00"],
            ["+01:00", "+01:00", "+01:00"],
        ),
        (
            "Europe/Berlin",
            ["2024-10-27T02:30", "2024-10-27T02:00", "2024-10-27T02:30"],
            ["+02:00", "+01:00", "+01:00"],
        ),
        # later on: the first, unless it was
        ("Europe/Berlin", ["2024-10-27T01", "2024-10-27T02"], ["+02:00", "+02:00"]),
        # an offset says which; half an hour is put back here
        ("Europe/Berlin", ["2024-10-27T02+02:00", "2024-10-27T03"], ["+02:00", "+01:00"]),
        (
            "Australia/Lord_Howe",
            ["2024-04-07T01:15", "2024-04-07T01:45", "2024-04-07T01:30", "2024-04-07T02:00"],
            ["+11:00", "+11:00", "+10:30", "+10:30"],
        ),
    ],
)
def test_which_of_two_hours_a_stamp_means(zone: str, texts: list[str], offsets: list[str]) -> None:
    assert placed(zone, *texts) == offsets


@pytest.mark.parametrize(
    ("zone", "texts", "place", "words"),
    [
        (
            "Europe/Berlin", ["2024-03-31T01", "2024-03-31T02"], 1,
            "2024-03-31T02:00:00 does not exist in Europe/Berlin, where clocks were put forward: "
            r"write .* such as 2024-03-31T03:00:00\+02:00",
        ),
        ("America/Chicago", ["2024-03-10T02:30"], None, r"does not exist .*T03:30:00-05:00"),
        (
            "America/Chicago", ["2024-11-03T01"], None,
            "2024-11-03T01:00:00 is there twice in America/Chicago, where clocks were put back: "
            "write it with its offset, 2024-11-03T01:00:00-05:00 or 2024-11-03T01:00:00-06:00",
        ),
        ("Europe/Berlin", ["2024-10-27T02:00", "2024-10-27T02:30"], 0, "is there twice in"),
    ],
)  # fmt: skip
def test_an_hour_that_is_not_there_or_nobody_can_tell(
    zone: str, texts: list[str], place: int | None, words: str
) -> None:
    with pytest.raises(TimeError, match=words) as caught:
        placed(zone, *texts)
    assert caught.value.place == place


def test_days_of_the_calendar_may_begin_with_an_hour_that_is_not_there() -> None:
    """In Brazil clocks were put forward at midnight."""
    days = ["2018-11-03", "2018-11-04", "2018-11-05"]
    placed("America/Sao_Paulo", *days, by_clock=False)
    assert placed("America/Chicago", "2024-11-03T01", by_clock=False)
    with pytest.raises(TimeError, match="does not exist"):
        placed("America/Sao_Paulo", *days)


def test_stamps_of_no_zone_that_go_back_say_what_to_give() -> None:
    for hours in ((1, 1), (1, 2, 1)):
        times = [datetime(2024, 11, 3, hour) for hour in hours]
        with pytest.raises(TimeError, match=r"if clocks were put back, give a timezone, or offs"):
            regular(times, HOUR)


@settings(max_examples=100, deadline=None)
@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1)),
    st.sampled_from(ZONES),
    st.sampled_from([900, 1_800]),
)
def test_what_a_clock_shows_all_day_long_is_read_as_it_was_meant(
    first: datetime, zone: str, step_s: int
) -> None:
    begin = first.replace(minute=0, second=0, microsecond=0, tzinfo=UTC)
    meant = [
        (begin + timedelta(seconds=step * step_s)).astimezone(ZoneInfo(zone))
        for step in range(86_400 // step_s)
    ]
    read = localise(
        [time.replace(tzinfo=None, fold=0) for time in meant], ZoneInfo(zone), by_clock=True
    )
    assert [time.utcoffset() for time in read] == [time.utcoffset() for time in meant]


def test_zones_are_there_without_the_systems(tmp_path: Path) -> None:
    """Slim images have none: the package has them."""
    code = "from service.tasks.forecasting.times import read_zone; print(read_zone('Asia/Tokyo'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONTZPATH": str(tmp_path)},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "Asia/Tokyo\n"
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert any(it.startswith("tzdata") for it in project["dependencies"])


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
