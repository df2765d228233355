"""The steps that a graph reads, against slow loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

from service.tasks.forecasting.quantiles import interpolate
from service.tasks.forecasting.steps import Values, build_steps, feature_names, seasonal_naive
from tests.forecasting.made import DAY_S, HOUR_S, make_settings

MONDAY_S = 19_723 * DAY_S  # 2024-01-01
numbers = st.one_of(st.just(float("nan")), st.floats(-1e3, 1e3))


def slow_naive(values: list[float], seasons: list[int], num_steps: int) -> list[list[float]]:
    known = [value for value in values if not math.isnan(value)]
    shorter = [sum(known) / len(known) if known else 0.0] * num_steps
    found = []
    for season in seasons:
        row = []
        for step in range(num_steps):
            before = [
                values[place]
                for place in range(step - season, -1, -season)
                if place < len(values) and not math.isnan(values[place])
            ]
            row.append(before[0] if before else shorter[step])
        shorter = row
        found.append(row)
    return found


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 12)), elements=numbers),
    st.lists(st.integers(1, 15), min_size=1, max_size=3, unique=True).map(sorted),
    st.integers(1, 9),
)
def test_the_seasonal_naive_is_the_last_known_value_a_season_before(
    values: Values, seasons: list[int], ahead: int
) -> None:
    num_steps = values.shape[1] + ahead
    found = np.stack(seasonal_naive(values, seasons, num_steps))
    for row, series in enumerate(values.tolist()):
        expected = slow_naive(series, seasons, num_steps)
        np.testing.assert_allclose(found[:, row], expected, rtol=1e-12, atol=1e-9)


def steps_of(values: list[float], holidays: list[int]) -> dict[str, list[float]]:
    model = make_settings()
    clock_s = MONDAY_S + 6 * HOUR_S * np.arange(len(holidays))[None]
    covariates = np.array(holidays)[None, :, None]
    steps = build_steps(model, np.array([values]), clock_s, covariates)
    assert steps.dtype == np.float32
    return dict(zip(feature_names(model), steps[0].T.tolist(), strict=True))


def test_each_feature_stands_where_its_name_says() -> None:
    nan = float("nan")
    columns = steps_of([11, 22, 33, 24, nan, 25, 36, 27], [0] * 8 + [1, 0, 1])
    assert columns["usual"] == [10, 20, 30, 20] * 2 + [10, 20, 30]
    assert columns["value"] == [1, 2, 3, 4, 0, 5, 6, 7, 0, 0, 0]
    assert columns["known"] == [1, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0]
    assert columns["ahead"] == pytest.approx([0.0] * 8 + [1 / 3, 2 / 3, 1])
    assert columns["naive_4"][4:] == [1, 2, 3, 4, 1, 5, 6]
    assert columns["naive_1"][1:] == [1, 2, 3, 4, 4, 5, 6, 7, 7, 7]
    assert columns["sin_86400s_1"][:4] == pytest.approx([0, 1, 0, -1], abs=1e-6)
    assert columns["cos_86400s_2"][:4] == pytest.approx([1, -1, 1, -1], abs=1e-6)
    assert columns["holiday"] == [0] * 8 + [1, 0, 1]


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, (3, 8), elements=numbers), st.integers(1, 3), st.integers(0, 1 << 30))
def test_a_series_among_others_has_the_steps_it_has_alone(
    values: Values, ahead: int, start: int
) -> None:
    model = make_settings()
    clock_s = start + np.arange(3)[:, None] + 6 * HOUR_S * np.arange(8 + ahead)
    covariates = np.arange(3.0 * (8 + ahead)).reshape(3, 8 + ahead, 1)
    together = build_steps(model, values, clock_s, covariates)
    assert np.isfinite(together).all()
    for row in range(3):
        one = slice(row, row + 1)
        alone = build_steps(model, values[one], clock_s[one], covariates[one])
        np.testing.assert_array_equal(together[one], alone)


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, (1, 8), elements=numbers), st.integers(1, 2))
def test_what_is_nearer_does_not_change_with_how_far_is_asked(values: Values, ahead: int) -> None:
    model = make_settings()
    clock_s = MONDAY_S + 6 * HOUR_S * np.arange(11)[None]
    covariates = np.zeros((1, 11, 1))
    far = build_steps(model, values, clock_s, covariates)
    near = build_steps(model, values, clock_s[:, : 8 + ahead], covariates[:, : 8 + ahead])
    np.testing.assert_array_equal(far[:, : 8 + ahead], near)


@settings(max_examples=50)
@given(
    st.lists(st.integers(1, 99), min_size=1, max_size=9, unique=True).map(sorted),
    st.lists(st.floats(0, 1), max_size=5),
    st.integers(0, 1 << 20),
)
def test_quantiles_lie_on_straight_lines_between_the_trained(
    hundredths: list[int], shares: list[float], seed: int
) -> None:
    trained = [hundredth / 100 for hundredth in hundredths]
    asked = [trained[0] + share * (trained[-1] - trained[0]) for share in shares]
    outputs = np.random.default_rng(seed).normal(size=(2, 3, len(trained))).cumsum(axis=2)
    found = interpolate(outputs, trained, asked)
    assert found.shape == (2, 3, len(asked))
    for index in np.ndindex(2, 3):
        expected = np.interp(asked, trained, outputs[index])
        np.testing.assert_allclose(found[index], expected, atol=1e-9)


@pytest.mark.parametrize(
    "changes",
    [
        {"quantiles": [0.5, 0.1]},
        {"quantiles": [0.0, 0.5]},
        {"quantiles": []},
        {"seasons": [4, 1]},
        {"min_known": 9},
        {"covariates": ["a", "a"]},
        {"usual": []},
        {"step_s": 0},
        {"horizon": 0},
    ],
)
def test_settings_that_contradict_themselves_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        make_settings(**changes)
