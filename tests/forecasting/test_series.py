"""One series of a request: what a model sees of it, and what is refused by which name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from service.errors import InvalidSequenceError
from service.tasks.forecasting.series import History, read_history
from tests.forecasting.made import make_series, make_settings

STAMPS = [f"2024-01-0{1 + step // 4}T{6 * (step % 4):02}:00:00" for step in range(8)]
WITHOUT: dict[str, Any] = {"covariates": {}, "future_covariates": {}}


def history(horizon: int = 3, model: dict[str, Any] | None = None, **changes: Any) -> History:
    return read_history(make_series(**changes), make_settings(**model or {}), horizon, "series[0]")


def test_a_series_as_long_as_the_context() -> None:
    found = history()
    assert found.values.tolist() == list(range(1, 9))
    assert np.diff(found.clock_s).tolist() == [21_600] * 10
    assert found.covariates[:, 0].tolist() == [0.0] * 8 + [1.0] * 3
    assert [time.isoformat() for time in found.ahead] == [
        "2024-01-03T00:00:00",
        "2024-01-03T06:00:00",
        "2024-01-03T12:00:00",
    ]


def test_stamps_say_what_a_start_says() -> None:
    for one, other in zip(history(), history(start=None, timestamps=STAMPS), strict=True):
        np.testing.assert_array_equal(one, other)


def test_of_a_longer_series_the_end_is_looked_at() -> None:
    holidays = [float(step) for step in range(20)]
    values = [*range(12), None, *range(13, 20)]
    found = history(values=values, covariates={"holiday": holidays})
    np.testing.assert_array_equal(found.values, [np.nan if v is None else v for v in values[-8:]])
    assert found.covariates[:8, 0].tolist() == holidays[-8:]
    assert found.ahead[0].isoformat() == "2024-01-06T00:00:00"


def test_what_a_shorter_series_lacks_is_unknown() -> None:
    found = history(values=[5.0, 6.0], covariates={"holiday": [1.0, 0.0]})
    np.testing.assert_array_equal(found.values, [np.nan] * 6 + [5, 6])
    assert np.diff(found.clock_s).tolist() == [21_600] * 10
    assert found.covariates[:8, 0].tolist() == [1.0] * 7 + [0.0]
    assert found.ahead[0].isoformat() == "2024-01-01T12:00:00"


def test_steps_left_out_are_unknown_ones() -> None:
    model: dict[str, Any] = {"covariates": []}
    kept = [0, 1, 3, 4, 6, 7]
    left_out = history(
        start=None, timestamps=[STAMPS[step] for step in kept], values=kept, model=model, **WITHOUT
    )
    said = history(values=[0, 1, None, 3, 4, None, 6, 7], model=model, **WITHOUT)
    for one, other in zip(left_out, said, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_series_that_outlasts_the_calendar_is_refused() -> None:
    model = {"covariates": [], "step_s": 50_000 * 604_800}
    with pytest.raises(InvalidSequenceError, match="beyond the year 9999") as caught:
        history(start="7999-01-01", model=model, **WITHOUT)
    assert caught.value.field == "series[0].start"


def test_the_calendar_is_the_zones_own() -> None:
    found = history(start="2024-03-30T12:00:00", timezone="Europe/Berlin")
    assert found.ahead[0].isoformat() == "2024-04-01T13:00:00+02:00"  # a day had 23 hours
    assert history(start="2024-03-30T11:00:00Z", timezone="Europe/Berlin").ahead == found.ahead


ZONED: dict[str, Any] = {"timezone": "Europe/Berlin"}
LEFT_OUT = ["2024-03-31T02:30:00", *[f"2024-03-31T{hour:02}:30:00" for hour in (8, 14, 20)]]
TWICE = ["2024-10-27T02:30:00"]


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"start": LEFT_OUT[0]}, "start", "does not exist in Europe/Berlin"),
        ({"start": TWICE[0]}, "start", "is there twice in Europe/Berlin"),
        (
            {"start": None, "timestamps": LEFT_OUT, "values": [1, 2, 3, 4]},
            "timestamps[0]",
            "does not exist",
        ),
    ],
)
def test_a_change_of_the_clock_is_named_as_such(
    changes: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(InvalidSequenceError, match=words) as caught:
        history(**changes, **ZONED)
    assert caught.value.field == f"series[0].{field}"
    with_offset = history(start="2024-10-27T02:30:00+01:00", **ZONED)
    assert with_offset.ahead[0].isoformat() == "2024-10-29T02:30:00+01:00"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"values": []}, "values"),
    ({"values": [None] * 7 + [1.0]}, "values"),
    ({"values": [1.0, None, None, None, None, 2.0, 3.0, 4.0]}, "values"),
    ({"values": [1.0, 2.0, 3.0, 4.0, None, None, None, None]}, "values"),
    ({"values": [1.0] * 7 + [1e31]}, "values[7]"),
    ({"start": None}, "timestamps"),
    ({"timestamps": STAMPS}, "timestamps"),
    ({"start": "tomorrow"}, "start"),
    ({"start": None, "timestamps": STAMPS[:7]}, "timestamps"),
    ({"start": None, "timestamps": [*STAMPS[:7], "x"]}, "timestamps[7]"),
    ({"start": None, "timestamps": [*STAMPS[:7], STAMPS[6]]}, "timestamps[7]"),
    ({"start": None, "timestamps": [STAMPS[1], STAMPS[0], *STAMPS[2:]]}, "timestamps[1]"),
    ({"start": None, "timestamps": [*STAMPS[:7], "2024-01-02T17:00:00"]}, "timestamps[7]"),
    ({"start": None, "timestamps": [*STAMPS[:7], "2024-01-02T18:00:00Z"]}, "timestamps[7]"),
    ({"start": None, "timestamps": [*STAMPS[:7], "2024-01-03T00:00:00"]}, "timestamps"),
    ({"frequency": "month"}, "frequency"),
    ({"frequency": "h"}, "frequency"),
    ({"timezone": "Nowhere"}, "timezone"),
    ({"covariates": {}}, "covariates.holiday"),
    ({"covariates": {"holiday": [0.0] * 7}}, "covariates.holiday"),
    ({"covariates": {"holiday": [0.0] * 7 + [1e31]}}, "covariates.holiday[7]"),
    ({"covariates": {"holiday": [0.0] * 8, "rain": [0.0] * 8}}, "covariates.rain"),
    ({"future_covariates": {"holiday": [0.0] * 8}}, "future_covariates.holiday"),
]


@pytest.mark.parametrize(("changes", "field"), REFUSED)
def test_what_does_not_fit_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidSequenceError) as caught:
        history(**changes)
    assert caught.value.field == f"series[0].{field}"
    assert caught.value.message.startswith("series[0]")
