"""The engine's promises, each with the moment that puts it to the test held open by a gate."""

from __future__ import annotations

import asyncio
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from service.errors import DrainingError, InferenceError, OverloadedError
from service.graphs.model import Arrays
from service.schedulers.job import Job
from tests.engine.gated import BLOCKER, block, check_answer, running, submit
from tests.engine.harness import Observed, predict
from tests.fakes import (
    TIMEOUT_S,
    FailingModel,
    GatedModel,
    SumModel,
    make_manifest,
    make_sequence,
    marked,
)

Kind = Literal["cells", "sequences"]
both = pytest.mark.parametrize("kind", ["cells", "sequences"])


class GatedFailingModel(GatedModel, FailingModel):
    """Holds every run; then fails on a marked step."""


@both
def test_a_cancelled_caller_never_runs_and_its_neighbours_are_answered(kind: Kind) -> None:
    model = GatedModel(make_manifest(kind))
    served = Observed(model)
    first, gone, last = (make_sequence([v, v, v]) for v in (11, 22, 33))

    async def scenario() -> None:
        blocker = await block(engine, served)
        before, leaving, after = [await submit(engine, served, s) for s in (first, gone, last)]
        leaving.cancel()
        await asyncio.wait([leaving])
        model.open()
        await check_answer(blocker, BLOCKER)
        await check_answer(before, first)
        await check_answer(after, last)
        assert leaving.cancelled()

    with running(served) as engine:
        asyncio.run(scenario())
    assert model.num_runs(gone) == 0
    assert model.num_runs(first) == 1


@both
def test_a_caller_cancelled_while_its_batch_runs_leaves_the_neighbour_answered(kind: Kind) -> None:
    model = GatedModel(make_manifest(kind))
    served = Observed(model, chunk_steps=2)
    gone, stays = make_sequence([11, 22, 33]), make_sequence([44, 55, 66])

    async def scenario() -> None:
        blocker = await block(engine, served)
        leaving, staying = [await submit(engine, served, s) for s in (gone, stays)]
        model.open(1)
        await asyncio.to_thread(model.wait_entered)  # cells: the blocker's rest runs with them
        leaving.cancel()
        await asyncio.wait([leaving])
        model.open()
        await check_answer(blocker, BLOCKER)
        await check_answer(staying, stays)

    with running(served) as engine:
        asyncio.run(scenario())
    assert model.num_runs(gone) == 1


@both
def test_a_failing_sequence_fails_its_own_job_and_the_next_one_works(kind: Kind) -> None:
    model = GatedFailingModel(make_manifest(kind))
    served = Observed(model, max_batch_size=2, max_active_sequences=2)
    bad, beside, other = marked(make_sequence([1, 2])), make_sequence([3, 4]), make_sequence([5, 6])

    async def scenario() -> None:
        blocker = await block(engine, served)
        failing = await submit(engine, served, bad, other, priority=1)
        neighbour = await submit(engine, served, beside)
        next_one = await submit(engine, served, other, beside)
        model.open()
        await check_answer(blocker, BLOCKER)
        with pytest.raises(InferenceError, match="sum failed on this batch") as failure:
            await failing
        assert isinstance(failure.value.__cause__, ValueError)
        assert str(failure.value.__cause__) == "a marked step"
        await check_answer(neighbour, beside)
        await check_answer(next_one, other, beside)

    with running(served) as engine:
        asyncio.run(scenario())
        assert all(thread.is_alive() for thread in engine.threads)


@both
def test_a_failure_spares_its_neighbours_and_stops_the_other_sequences_of_its_job(
    kind: Kind,
) -> None:
    model = GatedFailingModel(make_manifest(kind))
    served = Observed(model, max_batch_size=2, max_active_sequences=2)
    bad, beside, rest = marked(make_sequence([1, 2])), make_sequence([3, 4]), make_sequence([5, 6])

    async def scenario() -> None:
        await block(engine, served)
        neighbour = await submit(engine, served, beside)
        failing = await submit(engine, served, bad, rest)
        model.open()
        with pytest.raises(InferenceError):
            await failing
        await check_answer(neighbour, beside)

    with running(served) as engine:
        asyncio.run(scenario())
    assert model.num_runs(rest) == 0


@both
def test_a_full_queue_takes_all_of_a_request_or_none(kind: Kind) -> None:
    model = GatedModel(make_manifest(kind))
    served = Observed(model, max_queue_size=4, max_active_sequences=1)
    one, two = make_sequence([1, 2]), make_sequence([3, 4])

    async def scenario() -> None:
        blocker = await block(engine, served)
        pair = await submit(engine, served, one, two)
        refused = await submit(engine, served, one, two)
        with pytest.raises(OverloadedError, match="2 sequences came, 1 of 4 places are free"):
            await refused
        single = await submit(engine, served, one)
        model.open()
        await check_answer(blocker, BLOCKER)
        await check_answer(pair, one, two)
        await check_answer(single, one)

    with running(served) as engine:
        asyncio.run(scenario())


@both
def test_close_finishes_what_was_submitted_and_refuses_the_rest(kind: Kind) -> None:
    model = GatedModel(make_manifest(kind))
    served = Observed(model, chunk_steps=1, max_batch_size=1)
    one, two = make_sequence([1, 2, 3, 4]), make_sequence([5, 6, 7])

    async def scenario() -> None:
        blocker = await block(engine, served)
        pair = await submit(engine, served, one, two)
        closing = asyncio.create_task(asyncio.to_thread(engine.close))
        while not engine.core.is_closed:  # noqa: ASYNC110 - `close` tells nobody that it has begun
            await asyncio.sleep(0)
        with pytest.raises(DrainingError):
            await predict(engine, served.scheduler, [one])
        model.open()
        await closing
        assert not any(thread.is_alive() for thread in engine.threads)
        await check_answer(blocker, BLOCKER)
        await check_answer(pair, one, two)

    with running(served) as engine:
        asyncio.run(scenario())


def test_models_share_a_thread_in_the_order_of_what_is_due() -> None:
    order: list[str] = []

    class Recording(SumModel):
        def run(
            self, inputs: NDArray[np.float32], lengths: NDArray[np.int64], state: Arrays
        ) -> Arrays:
            order.append(self.manifest.name)
            return super().run(inputs, lengths, state)

    gate = Observed(GatedModel(make_manifest()))
    models: dict[str, Kind] = {"busy": "sequences", "calm": "sequences", "long": "cells"}
    busy, calm, long = (
        Observed(Recording(make_manifest(kind, name=name)), max_batch_size=1, chunk_steps=1)
        for name, kind in models.items()
    )

    async def scenario() -> None:
        await block(engine, gate)
        tasks = [await submit(engine, busy, make_sequence([1])) for _ in range(6)]
        tasks += [await submit(engine, calm, make_sequence([2])) for _ in range(2)]
        tasks.append(await submit(engine, long, make_sequence([3, 4, 5, 6])))
        assert isinstance(gate.model, GatedModel)
        gate.model.open()
        await asyncio.gather(*tasks)

    with running(gate, busy, calm, long) as engine:
        asyncio.run(scenario())
    assert order == ["busy"] * 6 + ["calm"] * 2 + ["long"] * 4


def test_an_event_loop_that_closed_does_not_end_a_thread() -> None:
    served = Observed(GatedModel(make_manifest()))

    async def leave_behind() -> None:
        await block(engine, served)

    async def ask_again() -> None:
        await check_answer(await submit(engine, served, BLOCKER), BLOCKER)

    assert isinstance(served.model, GatedModel)
    with running(served) as engine:
        asyncio.run(leave_behind())
        served.model.open()
        asyncio.run(ask_again())
        assert all(thread.is_alive() for thread in engine.threads)


def test_a_caller_that_fails_on_its_answer_keeps_nobody_from_theirs() -> None:
    served = Observed(GatedModel(make_manifest()))
    one, two = make_sequence([1, 2]), make_sequence([3, 4])

    told: list[Job] = []

    def fail(job: Job) -> None:
        told.append(job)
        raise ValueError("on purpose")

    async def scenario() -> None:
        await block(engine, served)
        job = engine.submit(served.scheduler, [one], TIMEOUT_S, fail)
        after = await submit(engine, served, two)
        assert isinstance(served.model, GatedModel)
        served.model.open()
        await check_answer(after, two)
        assert told == [job]

    with running(served) as engine:
        asyncio.run(scenario())
