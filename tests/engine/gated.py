"""A real engine whose thread a `GatedModel` holds while the test sets the scene."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from service.engine.engine import Engine
from service.schedulers.job import NORMAL_PRIORITY
from tests.engine.harness import Observed, predict
from tests.fakes import TIMEOUT_S, GatedModel, Result, Steps, check_result, make_sequence

BLOCKER = make_sequence([1, 2, 3])


@contextmanager
def running(*served: Observed, num_threads: int = 1) -> Iterator[Engine]:
    """An engine that runs these, and is closed with nothing left in it."""
    engine = Engine(num_threads)
    for each in served:
        engine.add(each.scheduler)
    try:
        yield engine
    finally:
        for each in served:
            if isinstance(each.model, GatedModel):
                each.model.open()
        engine.close()
    for each in served:
        each.check_empty()


async def submit(
    engine: Engine,
    served: Observed,
    *sequences: Steps,
    timeout_s: float = TIMEOUT_S,
    priority: int = NORMAL_PRIORITY,
) -> asyncio.Task[list[Result]]:
    """Ask for an answer; it is in the queue when this returns."""

    async def ask() -> list[Result]:
        return await predict(engine, served.scheduler, list(sequences), timeout_s, priority)

    task = asyncio.create_task(ask())
    await asyncio.sleep(0)  # its first step puts it there
    return task


async def block(engine: Engine, served: Observed) -> asyncio.Task[list[Result]]:
    """Hold the engine's only thread in a run."""
    assert isinstance(served.model, GatedModel)
    task = await submit(engine, served, BLOCKER)
    await asyncio.to_thread(served.model.wait_entered)
    return task


async def check_answer(task: asyncio.Task[list[Result]], *sequences: Steps) -> None:
    """Fail unless this request gets these sequences' answers."""
    for result, sequence in zip(await task, sequences, strict=True):
        check_result(result, sequence)
