"""The `cells` scheduler: what is due first always runs, with who fits it best."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import OverloadedError
from service.schedulers.job import PATIENCE
from tests.engine.harness import CELL_S, Asked, ByHand, check_answered, made_cost
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


def submit_lengths(hand: ByHand, lengths: list[int], **options: Any) -> list[Asked]:
    random = np.random.default_rng(len(lengths))
    return [hand.submit(random_sequence(random, length), **options) for length in lengths]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(20, 900), min_size=1, max_size=9),
    st.integers(1, 4),
    st.integers(1, 6),
)
def test_a_short_sequence_does_not_wait_for_long_ones(
    lengths: list[int], max_batch_size: int, after_ticks: int
) -> None:
    """If it is due before they are, it is in the very next run, and done with it."""
    hand = ByHand(SumModel(make_manifest("cells")), max_batch_size=max_batch_size)
    long = submit_lengths(hand, lengths)
    for _ in range(after_ticks):
        if hand.core.num_active or hand.core.num_waiting:
            hand.tick()
    (short,) = submit_lengths(hand, [1], priority=1)
    if short.due_s < min((job.due_s for job in long if not job.future.done()), default=np.inf):
        hand.tick()
        check_answered(short)
    hand.drain()
    check_answered(short)
    hand.close()


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 300), st.integers(1, 5), st.integers(1, 8))
def test_a_long_sequence_is_not_starved_by_short_ones(
    length: int, short_length: int, max_batch_size: int
) -> None:
    """Short ones come without end; the long one is answered by soon after it is due."""
    hand = ByHand(SumModel(make_manifest("cells")), max_batch_size=max_batch_size)
    (long,) = submit_lengths(hand, [length], priority=3)
    worst_run_s = hand.scheduler.cost.predict(max_batch_size, hand.scheduler.cost.max_steps)
    submit_lengths(hand, [short_length] * 2 * max_batch_size, priority=1)
    while not long.future.done():
        answered = hand.tick()
        submit_lengths(hand, [short_length] * len(answered), priority=1)
        late_s = hand.clock_s - long.due_s
        left = long.sequences[0].left
        assert late_s <= worst_run_s * (left + 2), "due, yet passed over"
    check_answered(long)
    hand.drain()
    hand.check_empty()
    hand.close()


def test_what_is_due_first_runs_first(start: Start) -> None:
    hand = start(max_batch_size=1, chunk_steps=1)
    low, normal, high = (submit_lengths(hand, [3], priority=p)[0] for p in (3, 2, 1))
    ended: list[Asked] = []
    while (batch := hand.take()) is not None:
        ended += hand.finish(batch)
    assert ended == [high, normal, low]
    assert [job.due_s for job in (high, normal, low)] == pytest.approx(
        [PATIENCE[p] * job.work_s for p, job in ((1, high), (2, normal), (3, low))]
    )


def test_equal_sequences_share_a_run_and_end_together(start: Start) -> None:
    hand = start(max_batch_size=4)
    submit_lengths(hand, [20, 20, 20, 20])
    batch = hand.take()
    assert batch is not None
    assert batch.counts == [20] * 4


def test_rows_are_shared_out_over_the_threads(start: Start) -> None:
    hand = start(max_batch_size=8, engine_threads=2)
    submit_lengths(hand, [20] * 6)
    first, second = hand.take(), hand.take()
    assert first is not None
    assert second is not None
    assert (first.num_rows, second.num_rows) == (3, 3)
    assert hand.take() is None
    assert hand.core.num_active == 6


def test_those_with_about_as_much_left_run_together(start: Start) -> None:
    hand = start(max_batch_size=3)
    first, *others = submit_lengths(hand, [10, 300, 12, 250, 9, 280])
    batch = hand.take()
    assert batch is not None
    assert {s.job for s in batch.sequences} == {first, others[1], others[3]}


def test_a_run_of_several_takes_no_longer_than_it_may(start: Start) -> None:
    hand = start(max_batch_size=8, max_run_ms=1.0)
    submit_lengths(hand, [400] * 8)
    while (batch := hand.take()) is not None:
        assert hand.scheduler.cost.predict(batch.num_rows, batch.num_steps) <= 1e-3
        assert max(batch.counts) - min(batch.counts) <= 1, "parts are not even"
        hand.finish(batch)


def test_where_starting_a_run_is_dear_chunks_are_long(start: Start) -> None:
    """The chunk is no constant: it follows what the machine's runs cost."""
    steps = []
    for run_s in (0.0, 100 * CELL_S * 50):
        cost = made_cost(2, run_s=run_s)
        hand = start(cost=cost, max_batch_size=2, max_run_ms=1_000)
        submit_lengths(hand, [10, 19])
        batch = hand.take()
        assert batch is not None
        steps.append(batch.num_steps)
        hand.finish(batch)
        hand.drain()
    assert steps == [10, 19]


def test_a_fixed_chunk_is_kept(start: Start) -> None:
    hand = start(chunk_steps=4)
    submit_lengths(hand, [2, 11])
    counts = []
    while (batch := hand.take()) is not None:
        counts.append(batch.counts)
        hand.finish(batch)
    assert counts == [[2, 4], [4], [3]]


def test_without_a_free_slot_those_that_hold_one_go_on(start: Start) -> None:
    hand = start(max_active_sequences=1, chunk_steps=1)
    (first,) = submit_lengths(hand, [5])
    hand.tick()
    (urgent,) = submit_lengths(hand, [1], priority=1)
    for _ in range(4):
        batch = hand.take()
        assert batch is not None
        assert [s.job for s in batch.sequences] == [first]
        hand.finish(batch)
    check_answered(first)
    hand.drain()
    check_answered(urgent)
    hand.check_empty()


def test_a_cancelled_sequence_leaves_its_slot_at_once(start: Start) -> None:
    hand = start(max_active_sequences=1, chunk_steps=1)
    first, second = submit_lengths(hand, [5, 9])
    hand.tick()
    hand.cancel(first)
    batch = hand.take()  # None here would put the engine's threads to sleep with work to do
    assert batch is not None
    assert [s.job for s in batch.sequences] == [second]
    hand.finish(batch)
    hand.drain()
    check_answered(second)
    hand.check_empty()


def test_a_sequence_cancelled_while_it_runs_goes_no_further(start: Start) -> None:
    hand = start(chunk_steps=1)
    gone, neighbour = submit_lengths(hand, [5, 3])
    batch = hand.take()
    assert batch is not None
    hand.cancel(gone)
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
    hand.cancel(gone)
    (late,) = submit_lengths(hand, [8])
    hand.drain()
    check_answered(late)
    check_answered(stays)
    hand.check_empty()


def test_the_queue_is_timed_until_the_first_run(start: Start) -> None:
    hand = start(max_batch_size=1, chunk_steps=2)
    submit_lengths(hand, [4, 4, 4])
    hand.tick()
    assert hand.metric("seqserve_queue_duration_seconds_count") == 1
    hand.drain()
    assert hand.metric("seqserve_queue_duration_seconds_count") == 3
    assert hand.metric("seqserve_compute_duration_seconds_count") == 6
    assert hand.metric("seqserve_cells_total", kind="real") == 12
    assert hand.metric("seqserve_cells_total", kind="padded") == 0
    assert hand.metric("seqserve_predicted_compute_seconds_total") == pytest.approx(
        6 * hand.scheduler.cost.predict(1, 2), rel=0.9
    )
