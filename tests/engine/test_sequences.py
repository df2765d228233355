"""The `sequences` scheduler: bounded padding, and no sequence is left waiting for company."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine.job import Job
from service.engine.scheduler import Batch
from service.errors import OverloadedError
from tests.engine.harness import ByHand, check_answered
from tests.fakes import SumModel, make_manifest, random_sequence

Start = Callable[..., ByHand]


def by_hand(**bounds: Any) -> ByHand:
    return ByHand(SumModel(make_manifest("sequences", weights=True)), **bounds)


@pytest.fixture
def start() -> Iterator[Start]:
    """Makes schedulers driven by hand, and closes them."""
    hands: list[ByHand] = []

    def make(**bounds: Any) -> ByHand:
        hands.append(by_hand(**bounds))
        return hands[-1]

    yield make
    for hand in hands:
        hand.close()


def submit_lengths(hand: ByHand, lengths: list[int]) -> list[Job]:
    random = np.random.default_rng(len(lengths))
    return [hand.submit(random_sequence(random, length)) for length in lengths]


def take_lengths(hand: ByHand) -> list[int]:
    batch = hand.take()
    assert batch is not None
    hand.finish(batch)
    return sorted(map(len, batch.sequences))


def padding_ratio(batch: Batch) -> float:
    rows, steps = batch.inputs.shape[:2]
    return rows * steps / int(batch.lengths.sum())


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=30),
    st.integers(1, 8),
    st.sampled_from([1.0, 1.1, 1.25, 2.0]),
    st.integers(0, 5),
)
def test_batches_keep_their_bounds_and_the_oldest_is_in_the_next(
    arrivals: list[tuple[int, bool]], max_batch_size: int, max_padding_ratio: float, late: int
) -> None:
    hand = by_hand(max_batch_size=max_batch_size, max_padding_ratio=max_padding_ratio)
    jobs = submit_lengths(hand, [length for length, _ in arrivals])
    for job, (_, leaves) in zip(jobs, arrivals, strict=True):
        if leaves:
            job.future.cancel()
    while (batch := hand.take()) is not None:
        oldest = next(job for job in jobs if not job.future.done())
        assert oldest in [s.job for s in batch.sequences]
        assert not any(s.job.gone for s in batch.sequences)
        assert len(batch.sequences) <= max_batch_size
        assert len(batch.sequences) == 1 or padding_ratio(batch) <= max_padding_ratio
        hand.finish(batch)
        if late:  # newcomers that fit each other must not overtake for ever
            jobs += submit_lengths(hand, [late, late])
            late -= 1
    for job in jobs:
        if not job.future.cancelled():
            check_answered(job)
    hand.check_empty()
    hand.close()


def test_sequences_of_one_length_fill_a_batch(start: Start) -> None:
    hand = start(max_batch_size=4)
    submit_lengths(hand, [7] * 6)
    assert take_lengths(hand) == [7, 7, 7, 7]
    assert take_lengths(hand) == [7, 7]


def test_the_nearest_lengths_join_and_the_outlier_runs_alone(start: Start) -> None:
    hand = start(max_padding_ratio=1.25)
    submit_lengths(hand, [10, 100, 12, 9, 11, 95])
    assert take_lengths(hand) == [9, 10, 11, 12]
    assert take_lengths(hand) == [95, 100]


def test_an_outlier_that_is_oldest_takes_nobody_with_it(start: Start) -> None:
    hand = start(max_padding_ratio=1.25)
    submit_lengths(hand, [500, 10, 10])
    assert take_lengths(hand) == [500]
    assert take_lengths(hand) == [10, 10]


def test_who_left_justifies_no_padding(start: Start) -> None:
    """Four steps beside eight are worth computing among four eights, not beside one."""
    hand = start(max_padding_ratio=1.25)
    jobs = submit_lengths(hand, [8, 8, 8, 8, 4])
    for job in jobs[1:4]:
        job.future.cancel()
    assert take_lengths(hand) == [8]
    assert take_lengths(hand) == [4]
    hand.check_empty()


class LeavesWhileTaken(Job):
    """Its caller leaves at the very moment that the scheduler looks."""

    asked = 0

    @property
    def gone(self) -> bool:
        """False once, then True."""
        self.asked += 1
        return self.asked > 1


def test_a_caller_who_leaves_during_take_makes_no_empty_batch(start: Start) -> None:
    hand = start()
    steps = random_sequence(np.random.default_rng(0), 3)
    hand.scheduler.submit(LeavesWhileTaken([steps], hand.loop.create_future()))
    batch = hand.take()
    assert batch is not None
    assert len(batch.sequences) == 1
    hand.finish(batch)
    hand.check_empty()


def test_places_of_callers_who_left_are_free_again(start: Start) -> None:
    hand = start(max_queue_size=3)
    jobs = submit_lengths(hand, [5, 6, 7])
    with pytest.raises(OverloadedError, match="1 sequences came, 0 of 3 places are free"):
        submit_lengths(hand, [5])
    jobs[1].future.cancel()
    (late,) = submit_lengths(hand, [8])
    hand.drain()
    check_answered(late)
    check_answered(jobs[2])
    hand.check_empty()


def test_padded_and_real_cells_are_counted(start: Start) -> None:
    hand = start(max_padding_ratio=1.25)
    submit_lengths(hand, [8, 10, 50])
    hand.drain()
    assert hand.metric("seqserve_cells_total", kind="real") == 8 + 10 + 50
    assert hand.metric("seqserve_cells_total", kind="padded") == 2
    assert hand.metric("seqserve_batch_size_sum") == 3
    assert hand.metric("seqserve_batch_size_count") == 2
    assert hand.metric("seqserve_queue_duration_seconds_count") == 3
    assert hand.metric("seqserve_compute_duration_seconds_count") == 2
