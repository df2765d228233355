"""The queue that docs/scaling.md reasons by."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.capacity import page
from benchmarks.capacity.__main__ import RESULT
from benchmarks.capacity.queueing import Cost, calibrated, latencies_s, mean_bound_s


@pytest.mark.parametrize("load", [0.1, 0.5, 0.9])
def test_the_mean_is_just_under_its_closed_form_bound(load: float) -> None:
    cost = Cost(cores=1, run_s=1e-3, request_s=1e-4, max_batch=1e9)
    rate = load / cost.request_s
    mean = latencies_s(cost, rate).mean()
    bound = mean_bound_s(cost, rate)
    assert 0.9 * bound < mean < 1.02 * bound


def test_without_batches_it_is_the_queue_of_the_textbooks() -> None:
    # M/D/1, Pollaczek and Khinchine: wait = load / (2 (1 - load)) of a service time
    cost = Cost(cores=1, run_s=0.0, request_s=1.0, max_batch=1)
    assert latencies_s(cost, 0.6).mean() == pytest.approx(1 + 0.6 / 0.8, rel=0.03)


def test_no_queue_outgrows_a_server_that_can_keep_up() -> None:
    for cores in (1, 2, 8):
        cost = Cost(cores, run_s=1e-3, request_s=1e-4, max_batch=12)
        early, late = np.array_split(latencies_s(cost, 0.8 * cost.capacity), 2)
        assert late.mean() < 1.5 * early.mean()
        early, late = np.array_split(latencies_s(cost, 1.2 * cost.capacity), 2)
        assert late.mean() > 2 * early.mean()


def test_a_calibrated_cost_gives_what_it_came_from() -> None:
    cost = calibrated(cores=2, alone_s=2e-3, capacity=4_000.0, max_batch=10.0)
    assert cost.capacity == pytest.approx(4_000)
    assert cost.run_s + cost.request_s == pytest.approx(2e-3)
    # alone faster than at saturation: nothing to share
    assert calibrated(1, 1e-4, 1_000.0, 10.0) == Cost(1, 0.0, 1e-3, 10.0)


def test_the_page_shows_the_committed_results() -> None:
    results = json.loads(RESULT.read_text())
    assert page.render(results) in Path("docs/scaling.md").read_text()
