"""The `cells` scheduler: fair turns, first come first admitted, no padding beyond the chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine.job import Job
from service.errors import OverloadedError
from tests.engine.harness import ByHand, check_answered
from tests.fakes import SumModel, make_manifest, random_sequence

Start = Callable[..., ByHand]


@pytest.fixture
def start() -> Iterator[Start]:
    """Makes schedulers driven by hand, and closes them."""
    hands: list[ByHand] = []

    def make(**bounds: Any) -> ByHand:
        hands.append(ByHand(SumModel(make_manifest("cells")), **bounds))
        return hands[-1]

    yield make
    for hand in hands:
        hand.close()


def submit_lengths(hand: ByHand, lengths: list[int]) -> list[Job]:
    random = np.random.default_rng(len(lengths))
    return [hand.submit(random_sequence(random, length)) for length in lengths]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 30))
def test_a_short_sequence_waits_for_one_turn_of_each_long_one_only(
    num_long: int, max_batch_size: int, after_ticks: int
) -> None:
    bounds = {"max_batch_size": max_batch_size, "chunk_steps": 4, "max_active_sequences": 10}
    hand = ByHand(SumModel(make_manifest("cells")), **bounds)
    long = submit_lengths(hand, [1_000] * num_long)
    for _ in range(after_ticks):
        hand.tick()
    (short,) = submit_lengths(hand, [4])
    turns = -(-(num_long + 1) // max_batch_size)
    for _ in range(turns):
        hand.tick()
    check_answered(short)
    assert not any(job.future.done() for job in long)
    hand.close()


def test_slots_go_to_whoever_came_first(start: Start) -> None:
    hand = start(max_active_sequences=2, chunk_steps=1, max_batch_size=2)
    jobs = submit_lengths(hand, [3, 1, 2, 2, 1])
    begun: list[Job] = []
    while (batch := hand.take()) is not None:
        begun += [s.job for s in batch.sequences if s.position == 0]
        hand.finish(batch)
    assert begun == jobs


def test_the_active_take_turns_in_order(start: Start) -> None:
    hand = start(max_batch_size=1, chunk_steps=1)
    first, second, third = submit_lengths(hand, [2, 2, 2])
    ran = []
    while (batch := hand.take()) is not None:
        ran += [s.job for s in batch.sequences]
        hand.finish(batch)
    assert ran == [first, second, third] * 2


def test_two_threads_never_hold_the_same_sequence(start: Start) -> None:
    hand = start(max_batch_size=2, chunk_steps=1)
    submit_lengths(hand, [5, 5, 5])
    first, second = hand.take(), hand.take()
    assert first is not None
    assert second is not None
    assert (len(first.sequences), len(second.sequences)) == (2, 1)
    assert hand.take() is None
    assert hand.scheduler.num_active == 3


def test_batches_are_no_longer_than_a_chunk_and_not_padded_to_it(start: Start) -> None:
    hand = start(chunk_steps=4)
    submit_lengths(hand, [2, 11])
    shapes = []
    while (batch := hand.take()) is not None:
        shapes.append(batch.inputs.shape[:2])
        hand.finish(batch)
    assert shapes == [(2, 4), (1, 4), (1, 3)]


def test_a_cancelled_sequence_leaves_its_slot_to_who_waits_at_once(start: Start) -> None:
    hand = start(max_active_sequences=1, chunk_steps=1)
    first, second = submit_lengths(hand, [5, 1])
    hand.tick()
    first.future.cancel()
    batch = hand.take()  # None here would put the engine's threads to sleep with work to do
    assert batch is not None
    assert [s.job for s in batch.sequences] == [second]
    hand.finish(batch)
    check_answered(second)
    hand.check_empty()


def test_a_sequence_cancelled_while_it_runs_goes_no_further(start: Start) -> None:
    hand = start(chunk_steps=1)
    gone, neighbour = submit_lengths(hand, [5, 3])
    batch = hand.take()
    assert batch is not None
    gone.future.cancel()
    hand.finish(batch)
    hand.drain()
    check_answered(neighbour)
    assert [len(run) for run in hand.scheduler.model.runs] == [2, 1, 1]  # type: ignore[attr-defined]
    hand.check_empty()


def test_places_of_callers_who_left_are_free_again(start: Start) -> None:
    hand = start(max_queue_size=2)
    gone, stays = submit_lengths(hand, [5, 6])
    with pytest.raises(OverloadedError, match="1 sequences came, 0 of 2 places are free"):
        submit_lengths(hand, [5])
    gone.future.cancel()
    (late,) = submit_lengths(hand, [8])
    hand.drain()
    check_answered(late)
    check_answered(stays)
    hand.check_empty()


def test_the_queue_is_timed_until_the_first_run_not_the_slot(start: Start) -> None:
    hand = start(max_batch_size=1, chunk_steps=2, max_active_sequences=8)
    submit_lengths(hand, [4, 4, 4])
    counts = []
    while (batch := hand.take()) is not None:
        counts.append(hand.metric("seqserve_queue_duration_seconds_count"))
        hand.finish(batch)
    assert counts == [1, 2, 3, 3, 3, 3]
    assert hand.metric("seqserve_compute_duration_seconds_count") == 6
    assert hand.metric("seqserve_cells_total", kind="real") == 12
    assert hand.metric("seqserve_cells_total", kind="padded") == 0
