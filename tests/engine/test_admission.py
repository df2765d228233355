"""Admission: what cannot be held or be in time is refused at once, and leaves no trace."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import native
from service.errors import OverloadedError
from tests.engine.harness import ByHand
from tests.fakes import SumModel, make_manifest, make_sequence


@pytest.fixture(params=["cells", "sequences"])
def hand(request: pytest.FixtureRequest) -> Any:
    """A scheduler driven by hand, of each kind."""
    hand = ByHand(SumModel(make_manifest(request.param)), max_queue_cells=5_000)
    yield hand
    hand.close()


def test_a_deadline_that_the_estimate_says_cannot_be_met_is_refused_at_once(hand: ByHand) -> None:
    for _ in range(40):
        hand.submit(make_sequence([1] * 100))
    with pytest.raises(OverloadedError, match=r"would answer in about .* s, the deadline is in"):
        hand.submit(make_sequence([1] * 100), timeout_s=0.5 * hand.backlog.wait_s)
    hand.submit(make_sequence([1] * 100), timeout_s=2 * hand.backlog.wait_s)
    hand.drain()
    hand.check_empty()
    assert hand.backlog.wait_s == 0


def test_when_to_try_again_is_the_estimate(hand: ByHand) -> None:
    hand.backlog.add(7.3 / native.CAUTION)
    with pytest.raises(OverloadedError) as refused:
        hand.submit(make_sequence([1]), timeout_s=2.0)
    assert refused.value.retry_after_s == 6  # in 5.3 s, in whole seconds


def test_an_idle_server_lets_everything_try(hand: ByHand) -> None:
    hand.backlog.note_lag(1.0)
    hand.submit(make_sequence([1] * 500), timeout_s=1e-6)
    hand.drain()


def test_a_late_event_loop_counts_and_is_forgotten(hand: ByHand) -> None:
    for _ in range(40):
        hand.submit(make_sequence([1] * 100))
    timeout_s = 2 * hand.backlog.wait_s
    hand.submit(make_sequence([1] * 100), timeout_s=timeout_s)
    hand.backlog.note_lag(timeout_s)
    with pytest.raises(OverloadedError):
        hand.submit(make_sequence([1] * 100), timeout_s=timeout_s)
    for _ in range(40):
        hand.backlog.note_lag(0.0)
    hand.submit(make_sequence([1] * 100), timeout_s=timeout_s)
    hand.drain()


def test_the_queue_is_bounded_in_steps(hand: ByHand) -> None:
    for _ in range(5):
        hand.submit(make_sequence([1] * 900))
    with pytest.raises(OverloadedError, match="600 steps came, there is room for 500 of 5000"):
        hand.submit(make_sequence([1] * 600))
    hand.submit(make_sequence([1] * 500))
    hand.drain()
    hand = ByHand(SumModel(make_manifest("sequences")), max_queue_cells=500)
    hand.submit(make_sequence([1] * 900))  # alone it may be larger than the queue
    hand.close()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(1e-4, 1.0), st.booleans()), max_size=30))
def test_a_backlog_comes_back_to_nothing(work: list[tuple[float, bool]]) -> None:
    backlog = native.Backlog(2)
    for work_s, _ in work:
        backlog.add(work_s)
    for work_s, done in work:
        backlog.remove(work_s, done)
    assert backlog.wait_s == 0
