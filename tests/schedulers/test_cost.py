"""The cost model: what it predicts of points it has not seen, and what it learns from runs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.app import bounds_of
from service.schedulers.cost import CostModel, calibrate, measure
from service.settings import Settings
from tests.engine.harness import made_cost
from tests.fakes import SumModel, make_manifest

ROWS, STEPS = (1, 2, 3, 4, 6, 8, 12, 16), (1, 4, 16, 64, 256)
times = st.floats(1e-7, 1e-3)


def tiled(rows: int, steps: int) -> float:
    """A kernel that computes rows six at a time, as no formula has it."""
    return 4e-5 + 3e-5 * -(-rows // 6) * steps


@settings(max_examples=60, deadline=None)
@given(times, times, times, st.integers(1, 16), st.integers(1, 256))
def test_a_linear_machine_is_predicted_everywhere(
    run_s: float, row_s: float, cell_s: float, rows: int, steps: int
) -> None:
    cost = made_cost(16, 256, run_s, row_s, cell_s)
    assert cost.predict(rows, steps) == pytest.approx(
        run_s + row_s * rows + cell_s * rows * steps, rel=0.02
    )


def test_attention_is_predicted_by_its_square() -> None:
    samples = {
        (b, t): 1e-5 + 2e-6 * b * t + 1e-8 * b * t**2 for b, t in itertools.product(ROWS, STEPS)
    }
    cost = CostModel(samples, 16, 256)
    assert cost.predict(5, 200) == pytest.approx(1e-5 + 2e-6 * 1_000 + 1e-8 * 5 * 40_000, rel=0.02)


def test_the_form_that_predicts_better_is_taken() -> None:
    shapes = list(itertools.product(ROWS, STEPS))
    assert CostModel({s: tiled(*s) for s in shapes}, 16, 256).form == "table"
    assert made_cost(16).form == "formula"


def test_few_points_are_enough_for_a_start() -> None:
    cost = CostModel({(1, 1): 1e-4}, 16, 256)
    assert cost.predict(16, 256) > 0


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 16), st.integers(1, 5_000), st.integers(1, 5_000))
def test_more_steps_never_cost_less(rows: int, one: int, other: int) -> None:
    noisy = np.random.default_rng(0).lognormal(0, 0.3, 40)
    shapes = itertools.product(ROWS, (*STEPS[:-1], 5_000))
    samples = {s: tiled(*s) * noise for s, noise in zip(shapes, noisy, strict=True)}
    cost = CostModel(samples, 16, 5_000)
    assert cost.predict(rows, min(one, other)) <= cost.predict(rows, max(one, other))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 16), st.floats(1e-5, 1e-1))
def test_the_longest_run_fits_and_one_step_more_does_not(rows: int, max_s: float) -> None:
    cost = made_cost(16, 256)
    steps = cost.longest(rows, max_s)
    assert steps == 1 or cost.predict(rows, steps) <= max_s
    assert steps == cost.max_steps or cost.predict(rows, steps + 1) > max_s


def test_a_machine_that_slows_down_is_noticed() -> None:
    cost = made_cost(16, 256)
    before_s = cost.predict(3, 50)
    for _ in range(500):
        cost.observe(8, 16, 3 * made_cost(16, 256).predict(8, 16))
    assert cost.predict(8, 16) == pytest.approx(3 * made_cost(16, 256).predict(8, 16), rel=0.1)
    assert cost.predict(3, 50) > 1.5 * before_s  # so is the whole machine


def test_a_region_that_was_measured_wrongly_is_learned_without_the_others() -> None:
    cost = made_cost(16, 256)
    truth = made_cost(16, 256)
    random = np.random.default_rng(0)
    for _ in range(4_000):
        rows, steps = int(random.integers(1, 17)), int(random.integers(1, 257))
        factor = 2.0 if rows == 7 else 1.0
        cost.observe(rows, steps, factor * truth.predict(rows, steps))
    assert cost.predict(7, 100) == pytest.approx(2 * truth.predict(7, 100), rel=0.2)
    assert cost.predict(12, 100) == pytest.approx(truth.predict(12, 100), rel=0.1)


def test_measuring_keeps_to_its_time_but_always_gets_some_points() -> None:
    model = SumModel(make_manifest("cells"))
    assert len(measure(model, 16, 256, budget_s=0.0)) >= 6
    assert max(len(run) for run in model.runs) <= 16
    calibrated = calibrate(SumModel(make_manifest("sequences")), bounds_of(Settings()), "sum")
    assert (calibrated.max_rows, calibrated.max_steps) == (Settings().max_batch_size, 1_000)
