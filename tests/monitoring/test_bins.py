"""Bins, counts and the stability index are what an independent computation says."""

from __future__ import annotations

import math
from bisect import bisect_left

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.telemetry.inputs.bins import (
    LEAST_SHARE,
    bins_of,
    bins_of_quantiles,
    counted,
    edges_and_shares,
    population_stability,
)
from service.telemetry.inputs.window import Window

numbers = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50)


def shares_of(values: list[float], edges: list[float]) -> list[float]:
    """Value by value: a value at an edge is below it."""
    counts = [0] * (len(edges) + 1)
    for value in values:
        counts[bisect_left(edges, value)] += 1
    return [count / len(values) for count in counts]


def index_of(found: list[float], expected: list[float]) -> float:
    pairs = [
        (max(a, LEAST_SHARE), max(e, LEAST_SHARE)) for a, e in zip(found, expected, strict=True)
    ]
    return math.fsum((a - e) * math.log(a / e) for a, e in pairs)


@settings(deadline=None, max_examples=50)
@given(numbers, numbers)
def test_the_index_is_what_its_definition_says(learnt: list[float], came: list[float]) -> None:
    bins = bins_of(np.array(learnt, dtype=np.float32))
    assert bins.shares == pytest.approx(shares_of(learnt, bins.edges), abs=1e-6)
    edges, shares = edges_and_shares([bins])
    counts = counted(np.array(came, dtype=np.float32)[:, None], edges)
    assert counts.sum() == len(came)
    wanted = index_of(shares_of(came, bins.edges), bins.shares)
    assert population_stability(counts, shares)[0] == pytest.approx(wanted, abs=1e-9)
    assert wanted >= 0


@settings(deadline=None, max_examples=50)
@given(st.lists(numbers, min_size=2, max_size=5), st.data())
def test_features_do_not_see_each_other(learnt: list[list[float]], data: st.DataObject) -> None:
    bins = [bins_of(np.array(values, dtype=np.float32)) for values in learnt]
    count = data.draw(st.integers(1, 30))
    came = data.draw(
        st.lists(
            st.lists(st.floats(-1e6, 1e6, width=32), min_size=len(bins), max_size=len(bins)),
            min_size=count,
            max_size=count,
        )
    )
    values = np.array(came, dtype=np.float32)
    found = population_stability(
        counted(values, edges_and_shares(bins)[0]), edges_and_shares(bins)[1]
    )
    for column, one, index in zip(values.T, bins, found, strict=True):
        assert index == pytest.approx(index_of(shares_of(column.tolist(), one.edges), one.shares))


def test_the_same_again_is_stable_and_a_shift_is_not() -> None:
    random = np.random.default_rng(0)
    bins = bins_of(random.normal(size=10_000))
    edges, shares = edges_and_shares([bins])

    def index(values: NDArray[np.float64]) -> float:
        return float(population_stability(counted(values[:, None], edges), shares)[0])

    assert len(bins.edges) == 9
    assert index(random.normal(size=2_000)) < 0.02
    assert index(random.normal(1.0, 1.0, size=2_000)) > 0.5
    assert index(random.normal(0.0, 3.0, size=2_000)) > 0.5


def test_a_feature_that_never_changes_notices_that_it_does() -> None:
    edges, shares = edges_and_shares([bins_of(np.zeros(100))])
    same, other = np.zeros((50, 1)), np.ones((50, 1))
    assert population_stability(counted(same, edges), shares)[0] == pytest.approx(0.0)
    assert population_stability(counted(other, edges), shares)[0] > 5


def test_quantiles_make_bins_where_there_are_enough() -> None:
    quantiles = {"0.0": 8.0, "0.05": 13.0, "0.25": 18.0, "0.5": 21.0, "0.75": 26.0, "1.0": 115.0}
    bins = bins_of_quantiles(quantiles)
    assert bins is not None
    assert bins.edges == [13.0, 18.0, 21.0, 26.0, 115.0]
    assert bins.shares == pytest.approx([0.05, 0.2, 0.25, 0.25, 0.25, 0.0])
    always = bins_of_quantiles({"0.0": 192.0, "0.5": 192.0, "1.0": 192.0})
    assert always is not None
    assert (always.edges, always.shares) == ([192.0], [1.0, 0.0])
    assert bins_of_quantiles({"0.5": 64.0}) is None


def test_a_window_forgets_what_was_long_ago() -> None:
    shares = np.array([[0.5, 0.5]])
    window = Window(shares, 100)
    window.add(np.array([[20, 20]]), 40)
    assert window.stability() is None  # too few
    window.add(np.array([[5, 5]]), 10)
    assert window.stability() == pytest.approx(0.0)
    for _ in range(2):
        window.add(np.array([[50, 0]]), 50)
    index = window.stability()
    assert index is not None
    assert index[0] == pytest.approx(index_of([1.0, 0.0], [0.5, 0.5]))
