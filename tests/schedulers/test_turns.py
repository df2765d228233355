"""Who takes a turn: by hand, without any decoder."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import native
from service.schedulers.cost import CostModel
from service.telemetry.metrics import Metrics
from tests.engine.harness import DEFAULTS
from tests.fakes import TIMEOUT_S

TURN_S, ROW_S = 1e-4, 1e-5


class Turns:
    """A scheduler of turns, and jobs for it."""

    def __init__(self, **bounds: Any) -> None:
        self.metrics = Metrics().of_model("turns", "1")
        self.bounds = replace(DEFAULTS, **bounds)
        samples = {(rows, 1): TURN_S + ROW_S * rows for rows in (1, 8, 64)}
        self.cost = CostModel(samples, 64, 1)
        self.core = native.TurnScheduler(self.bounds.native(), self.cost, self.metrics.tally)

    def submit(self, turns: int, rows: int = 1, count: int = 1, priority: int = 2) -> native.Job:
        """Queue a request of so many sequences alike."""
        job = native.Job(
            turns=[turns] * count, rows=[rows] * count, priority=priority, timeout_s=TIMEOUT_S
        )
        self.core.enqueue(job)
        return job

    def take(self) -> tuple[native.Run, list[native.Job]]:
        """The next run, and whose sequences it has."""
        run = self.core.take()
        assert run is not None
        return run, [job for job, _ in run.places]

    def finish(self, run: native.Run) -> list[native.Job]:
        """The jobs answered by a run."""
        run.cpu_s = self.cost.predict(run.num_real, 1)
        return self.core.complete(run, [], [])


def test_each_run_takes_one_turn_of_each() -> None:
    turns = Turns()
    short, long = turns.submit(1), turns.submit(3)
    run, jobs = turns.take()
    assert jobs == [short, long]
    assert run.counts == [1, 1]
    assert turns.core.num_active == 2
    assert turns.finish(run) == [short]
    for left in (2, 1):
        run, jobs = turns.take()
        assert [it.left for it in run.sequences] == [left]
        answered = turns.finish(run)
    assert answered == [long]
    assert turns.core.take() is None


def test_what_is_finished_early_is_answered() -> None:
    turns = Turns()
    job = turns.submit(50, count=2)
    run, _ = turns.take()
    run.finish(1)
    assert turns.finish(run) == []
    run, _ = turns.take()
    assert [index for _, index in run.places] == [0]
    run.finish(0)
    assert turns.finish(run) == [job]
    assert turns.core.num_active == turns.core.num_waiting == 0


def test_what_comes_joins_the_next_run() -> None:
    turns = Turns()
    first = turns.submit(5)
    turns.finish(turns.take()[0])
    second = turns.submit(5)
    assert turns.take()[1] == [first, second]


def test_a_batch_is_so_many_rows() -> None:
    turns = Turns(max_batch_size=8)
    turns.submit(9, rows=3, count=4)
    late = turns.submit(9, rows=2)
    run, jobs = turns.take()
    assert len(jobs) == 3
    assert jobs[-1] is late, "what fits passes what does not"
    turns.finish(run)
    assert turns.metrics.tally.rows.total() == 8
    assert turns.metrics.tally.padded_cells == 0


def test_one_wider_than_any_batch_runs_alone() -> None:
    turns = Turns(max_batch_size=4, max_active_sequences=4)
    wide, other = turns.submit(1, rows=10), turns.submit(1)
    run, jobs = turns.take()
    assert jobs == [wide]
    turns.finish(run)
    assert turns.take()[1] == [other]


def test_no_more_begin_than_may_hold_state() -> None:
    turns = Turns(max_active_sequences=3, max_batch_size=8)
    turns.submit(2, count=5)
    run, jobs = turns.take()
    assert len(jobs) == 3
    assert turns.core.take() is None, "two wait for room"
    turns.finish(run)
    urgent = turns.submit(2, priority=1)
    run, jobs = turns.take()
    assert len(jobs) == 3
    assert urgent not in jobs, "those that hold state go on"
    turns.finish(run)
    assert urgent in turns.take()[1]


def test_engine_threads_get_as_much_each() -> None:
    turns = Turns(engine_threads=2)
    turns.submit(5, count=6)
    (first, _), (second, _) = turns.take(), turns.take()
    assert first.num_rows == second.num_rows == 3


def test_who_left_takes_no_more_turns() -> None:
    turns = Turns()
    job, other = turns.submit(9), turns.submit(9)
    run, _ = turns.take()
    job.gone = True
    turns.core.forget(job)
    turns.finish(run)
    assert turns.take()[1] == [other]
    assert turns.core.num_active == 1


def test_a_failed_run_fails_its_own() -> None:
    turns = Turns(max_batch_size=2)
    first, second = turns.submit(9, count=2), turns.submit(9)
    run, _ = turns.take()
    assert turns.core.fail(run) == [first]
    run, jobs = turns.take()
    assert jobs == [second]
    turns.core.fail(run)
    assert turns.core.num_active == turns.core.num_waiting == 0


def test_admission_learns_how_many_turns_are_taken() -> None:
    turns = Turns()
    backlog = native.Backlog(1)
    door = native.Admission("turns", turns.core, backlog)

    def work_s() -> float:
        job = native.Job(turns=[100], rows=[2], priority=2, timeout_s=TIMEOUT_S)
        door.enter(job, TIMEOUT_S)
        door.leave(job, False)
        return job.work_s

    before_s = work_s()
    for _ in range(200):
        turns.submit(100)
        run, _ = turns.take()
        run.finish(0)
        turns.finish(run)
    assert work_s() == pytest.approx(0.01 * before_s, rel=0.2)


requests = st.lists(
    st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(requests, st.integers(1, 8), st.integers(1, 12), st.integers(1, 3), st.randoms())
def test_everyone_takes_their_turns_and_nothing_stays(
    asked: list[tuple[int, int, int, int]], most: int, active: int, threads: int, random: Any
) -> None:
    turns = Turns(max_batch_size=most, max_active_sequences=active, engine_threads=threads)
    jobs = [turns.submit(*request) for request in asked]
    rows_of = {id(job): request[1] for job, request in zip(jobs, asked, strict=True)}
    answered: list[native.Job] = []
    in_flight: list[native.Run] = []
    while len(answered) < len(jobs):
        run = turns.core.take() if len(in_flight) < threads else None
        if run is not None:
            in_flight.append(run)
            rows = [rows_of[id(job)] for job, _ in run.places]
            assert sum(rows) <= most or len(rows) == 1
            if random.random() < 0.5:
                continue
        assert in_flight, "something waits and nothing runs"
        answered += turns.finish(in_flight.pop(random.randrange(len(in_flight))))
    assert not in_flight
    assert turns.core.pool == []
    assert turns.core.num_waiting == turns.core.num_active == 0
    assert turns.metrics.tally.real_cells == sum(t * rows * n for t, rows, n, _ in asked)
