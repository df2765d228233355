"""What is held of a request, and by whom: its numbers are large, and its caller may change them."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Literal

import numpy as np
import pytest

from service.engine.engine import Engine
from service.schedulers.job import Job
from tests.engine.gated import BLOCKER, block, check_answer, running, submit
from tests.engine.harness import Observed
from tests.fakes import TIMEOUT_S, GatedModel, SumModel, make_manifest, make_sequence

Kind = Literal["cells", "sequences"]
both = pytest.mark.parametrize("kind", ["cells", "sequences"])


@both
def test_sequences_are_taken_as_they_are_when_they_come(kind: Kind) -> None:
    """Whatever their layout, and whatever becomes of the caller's memory."""
    model = GatedModel(make_manifest(kind))
    served = Observed(model)
    steps = make_sequence(range(20, 50))
    padded = np.zeros((3, 40, 2), dtype=np.float32)
    padded[1, :30] = steps
    views = [padded[1, :30], np.asfortranarray(steps), steps[::-1][::-1], padded[1, :30].copy()]

    async def scenario() -> None:
        await block(engine, served)
        task = await submit(engine, served, *views)
        padded[:] = 99.0
        views[-1][:] = 99.0
        model.open()
        await check_answer(task, *[steps] * len(views))

    with running(served) as engine:
        asyncio.run(scenario())


class Caller:
    """Holds its job, which has a method of it to call."""

    job: Job

    def __init__(self) -> None:
        self.answered = asyncio.Event()

    def on_done(self, job: Job) -> None:
        assert job is self.job
        self.answered.set()


@both
def test_nothing_is_left_of_a_caller_who_holds_its_job(kind: Kind) -> None:
    """Once it is answered, not even until Python's collector comes."""
    served = Observed(SumModel(make_manifest(kind)))

    async def ask(engine: Engine) -> weakref.ref[Caller]:
        caller = Caller()
        caller.job = engine.submit(served.scheduler, [BLOCKER], TIMEOUT_S, caller.on_done)
        await caller.answered.wait()
        return weakref.ref(caller)

    async def leave(engine: Engine) -> weakref.ref[Caller]:
        caller = Caller()
        caller.job = engine.submit(served.scheduler, [BLOCKER], TIMEOUT_S, caller.on_done)
        engine.cancel(caller.job)
        return weakref.ref(caller)

    async def scenario() -> None:
        gc.disable()
        try:
            caller = await ask(engine)
            await asyncio.sleep(0)  # out of the loop's own hands
            assert caller() is None
        finally:
            gc.enable()
        caller = await leave(engine)
        gc.collect()
        assert caller() is None

    with running(served) as engine:
        asyncio.run(scenario())


@both
def test_a_caller_that_nobody_holds_is_told_all_the_same(kind: Kind) -> None:
    """And so are those who are answered with it."""
    served = Observed(GatedModel(make_manifest(kind)))
    told: list[int] = []

    async def scenario() -> None:
        await block(engine, served)
        for number in range(3):
            engine.submit(
                served.scheduler,
                [make_sequence([number])],
                TIMEOUT_S,
                lambda job, number=number: told.append(number),  # type: ignore[misc]
            )
        gc.collect()
        assert isinstance(served.model, GatedModel)
        served.model.open()
        await check_answer(await submit(engine, served, BLOCKER), BLOCKER)

    with running(served) as engine:
        asyncio.run(scenario())
    assert sorted(told) == [0, 1, 2]
