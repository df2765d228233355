"""Whatever comes in whatever order, every caller gets its own answer once and nothing stays."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from service import native
from service.errors import InferenceError, OverloadedError
from tests.engine.harness import Asked, ByHand, check_answered
from tests.fakes import OF_EACH_STEP, SumModel, make_manifest, random_sequence

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=3)
WHICH = st.integers(0, 99)


class AnySchedule(RuleBasedStateMachine):
    """Submits, takes, finishes, fails and cancels in any order, several runs at a time."""

    @initialize(
        kind=st.sampled_from(["cells", "sequences"]),
        changes=st.sampled_from(
            [
                {},
                {"outputs": OF_EACH_STEP},
                {"is_ragged": False},
                {"is_ragged": False, "outputs": OF_EACH_STEP},
            ]
        ),
        max_batch_size=st.integers(1, 4),
        chunk_steps=st.sampled_from([None, 1, 2, 3, 64]),
        max_run_ms=st.sampled_from([0.1, 4.0]),
        engine_threads=st.integers(1, 3),
        max_active_sequences=st.integers(1, 4),
        max_padding_ratio=st.sampled_from([1.0, 1.25, 3.0]),
        max_queue_size=st.sampled_from([4, 100]),
    )
    def start(
        self, kind: Literal["cells", "sequences"], changes: dict[str, Any], **bounds: Any
    ) -> None:
        self.model = SumModel(make_manifest(kind), **changes)
        if not self.model.spec.is_ragged:
            bounds["max_padding_ratio"] = 1.0
        self.hand = ByHand(self.model, **bounds)
        self.random = np.random.default_rng(0)
        self.jobs: list[Asked] = []
        self.in_flight: list[native.Run] = []
        self.failed: list[Asked] = []

    @rule(lengths=LENGTHS, priority=st.integers(0, 4))
    def submit(self, lengths: list[int], priority: int) -> None:
        under_way = sum(job.num_sequences for job in self.jobs if not job.future.done())
        sequences = [random_sequence(self.random, length) for length in lengths]
        try:
            self.jobs.append(self.hand.submit(*sequences, priority=priority))
        except OverloadedError:
            assert under_way + len(lengths) > self.hand.scheduler.bounds.max_queue_size
        assert self.hand.core.num_waiting <= self.hand.scheduler.bounds.max_queue_size

    @precondition(lambda self: len(self.in_flight) < 3)
    @rule()
    def take(self) -> None:
        run = self.hand.take()
        if run is not None:
            assert not any(sequence.job.gone for sequence in run.sequences)
            self.in_flight.append(run)
        elif isinstance(self.hand.core, native.CellScheduler):
            assert not any(s.slot >= 0 for s in self.hand.core.pool)
            assert not (self.hand.core.num_waiting and self.hand.core.free_slots)
        else:
            assert self.hand.core.num_waiting == 0

    @precondition(lambda self: self.in_flight)
    @rule(which=WHICH)
    def finish(self, which: int) -> None:
        self.hand.finish(self.in_flight.pop(which % len(self.in_flight)))

    @precondition(lambda self: self.in_flight)
    @rule(which=WHICH)
    def fail(self, which: int) -> None:
        run = self.in_flight.pop(which % len(self.in_flight))
        hit = {id(sequence.job) for sequence in run.sequences if not sequence.job.gone}
        failed = self.hand.fail(run, InferenceError("on purpose"))
        assert {id(job) for job in failed} == hit
        assert all(isinstance(job.future.exception(), InferenceError) for job in failed)
        self.failed.extend(failed)

    @precondition(lambda self: self.in_flight)
    @rule(which=WHICH, rows=st.sets(WHICH, min_size=1))
    def finish_without_some(self, which: int, rows: set[int]) -> None:
        run = self.in_flight.pop(which % len(self.in_flight))
        rows = {row % run.num_rows for row in rows}
        hit = {id(it.job) for it in map(run.sequences.__getitem__, rows) if not it.job.gone}
        failed = self.hand.finish_without(run, sorted(rows), InferenceError("on purpose"))
        assert {id(job) for job in failed} == hit
        assert all(isinstance(job.future.exception(), InferenceError) for job in failed)
        self.failed.extend(failed)

    @precondition(lambda self: any(not job.future.done() for job in self.jobs))
    @rule(which=WHICH)
    def cancel(self, which: int) -> None:
        waited_for = [job for job in self.jobs if not job.future.done()]
        self.hand.cancel(waited_for[which % len(waited_for)])

    @invariant()
    def slots_are_nobody_elses(self) -> None:
        if not hasattr(self, "hand") or not isinstance(self.hand.core, native.CellScheduler):
            return
        held = [s.slot for s in self.hand.core.pool if s.slot >= 0]
        held += [s.slot for run in self.in_flight for s in run.sequences]
        slots = sorted(held + self.hand.core.free_slots)
        assert slots == list(range(self.hand.scheduler.bounds.max_active_sequences))

    def teardown(self) -> None:
        if not hasattr(self, "hand"):
            return
        while self.in_flight:
            self.hand.finish(self.in_flight.pop())
        self.hand.drain()
        self.hand.check_empty()
        for job in self.jobs:
            if job not in self.failed and not job.future.cancelled():
                check_answered(job)
        self._check_metrics()
        self.hand.close()

    def _check_metrics(self) -> None:
        """Every cell that the model saw was counted, and nothing else."""
        lengths = [[len(row) for row in run] for run in self.model.runs]
        real = sum(map(sum, lengths))
        computed = sum(len(run) * max(run) for run in lengths)
        assert self.hand.metric("seqserve_cells_total", kind="real") == real
        assert self.hand.metric("seqserve_cells_total", kind="padded") == computed - real
        assert self.hand.metric("seqserve_batch_size_sum") == sum(map(len, lengths))
        assert self.hand.metric("seqserve_batch_size_count") == len(lengths)


def test_any_schedule_answers_everyone_once_and_leaves_nothing() -> None:
    run_state_machine_as_test(
        AnySchedule, settings=settings(max_examples=200, stateful_step_count=30, deadline=None)
    )
