"""The `sequences` scheduler: bounded padding, and no sequence is left waiting for company."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import native
from service.errors import OverloadedError
from tests.engine.harness import Asked, ByHand, check_answered, made_cost
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


def submit_lengths(hand: ByHand, lengths: list[int]) -> list[Asked]:
    random = np.random.default_rng(len(lengths))
    return [hand.submit(random_sequence(random, length)) for length in lengths]


def take_lengths(hand: ByHand) -> list[int]:
    batch = hand.take()
    assert batch is not None
    hand.finish(batch)
    return sorted(batch.counts)


def padding_ratio(batch: native.Run) -> float:
    return batch.num_rows * batch.num_steps / batch.num_real


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
            hand.cancel(job)
    while (batch := hand.take()) is not None:
        first = min((job for job in jobs if not job.future.done()), key=lambda job: job.due_s)
        assert first.due_s in [s.job.due_s for s in batch.sequences]
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
    submit_lengths(hand, [7] * 8)
    assert take_lengths(hand) == [7, 7, 7, 7]
    assert take_lengths(hand) == [7, 7, 7, 7]
    submit_lengths(hand, [7] * 6)  # four and two cost just what three and three do
    assert len(take_lengths(hand)) + len(take_lengths(hand)) == 6


def test_the_nearest_lengths_join_and_the_outlier_runs_alone(start: Start) -> None:
    hand = start(max_padding_ratio=1.25)
    submit_lengths(hand, [10, 100, 12, 9, 11, 95])
    assert take_lengths(hand) == [9, 10, 11, 12]
    assert take_lengths(hand) == [95, 100]


def test_an_outlier_takes_nobody_with_it(start: Start) -> None:
    hand = start(max_padding_ratio=1.25)
    submit_lengths(hand, [500, 10, 10])
    assert take_lengths(hand) == [10, 10]
    assert take_lengths(hand) == [500]


def test_who_left_justifies_no_padding(start: Start) -> None:
    """Four steps beside eight are worth computing among four eights, not beside one."""
    hand = start(max_padding_ratio=1.25)
    jobs = submit_lengths(hand, [8, 8, 8, 8, 4])
    for job in jobs[1:4]:
        hand.cancel(job)
    assert take_lengths(hand) == [4]
    assert take_lengths(hand) == [8]
    hand.check_empty()


def test_places_of_callers_who_left_are_free_again(start: Start) -> None:
    hand = start(max_queue_size=3)
    jobs = submit_lengths(hand, [5, 6, 7])
    with pytest.raises(OverloadedError, match="1 sequences came, 0 of 3 places are free"):
        submit_lengths(hand, [5])
    hand.cancel(jobs[1])
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


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=9),
    st.integers(1, 4),
    st.floats(0, 1e-3),
    st.sampled_from([1.0, 1.25, 100.0]),
)
def test_the_cuts_cost_no_more_than_any_others(
    lengths: list[int], max_batch_size: int, run_s: float, max_padding_ratio: float
) -> None:
    """Against every way there is to cut the sorted lengths, one by one among them."""
    hand = by_hand(
        cost=made_cost(max_batch_size, run_s=run_s),
        max_batch_size=max_batch_size,
        max_padding_ratio=max_padding_ratio,
    )
    ordered = np.sort(lengths)

    def cost_of(cuts: list[int]) -> float:
        total_s = 0.0
        for start, stop in zip([0, *cuts[:-1]], cuts, strict=True):
            rows, part = stop - start, ordered[start:stop]
            seconds = hand.scheduler.cost.predict(rows, int(part.max()))
            allowed = rows * part.max() <= max_padding_ratio * part.sum()
            if rows > 1 and not (allowed and seconds <= hand.scheduler.bounds.max_run_ms / 1_000):
                return float("inf")
            total_s += seconds
        return total_s

    submit_lengths(hand, lengths)
    assert isinstance(hand.core, native.SequenceScheduler)
    found = hand.core.cut(ordered.tolist())
    places = range(1, len(lengths))
    every_way = (
        [*chosen, len(lengths)]
        for count in range(len(lengths))
        for chosen in itertools.combinations(places, count)
    )
    fitting = (
        cuts
        for cuts in every_way
        if max(b - a for a, b in zip([0, *cuts], cuts, strict=False)) <= max_batch_size
    )
    assert cost_of(found) == pytest.approx(min(map(cost_of, fitting)))
    hand.drain()
    hand.close()
