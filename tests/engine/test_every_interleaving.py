"""Every interleaving of a small scenario, one after the other: none loses, doubles or swaps.

The engine has no threads here; the test is two of them, and the event loop, and the callers, and
takes every order of their next steps down to a depth, then lets everything run out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Literal

import numpy as np
import pytest

from service.engine.engine import Engine
from service.errors import InferenceError
from service.graphs.model import Result
from service.schedulers.batch import Batch, Workspace
from service.schedulers.scheduler import Scheduler
from tests.engine.harness import Observed, predict
from tests.fakes import SumModel, check_result, make_manifest, random_sequence

DEPTH = 5  # 7 was run too, in six minutes
NUM_THREADS = 2
REQUESTS = ((3, 1), (2,), (1,))  # lengths of each one's sequences
RANDOM = np.random.default_rng(0)
ASKED = [[random_sequence(RANDOM, length) for length in lengths] for lengths in REQUESTS]

Kind = Literal["cells", "sequences"]
Action = tuple[str, int]


class World:
    """An engine whose threads are played by hand, in a state that some actions led to."""

    def __init__(self, kind: Kind, loop: asyncio.AbstractEventLoop) -> None:
        self.served = Observed(
            SumModel(make_manifest(kind)), max_batch_size=2, chunk_steps=2, max_active_sequences=2
        )
        self.engine = Engine(0)
        self.engine.add(self.served.scheduler)
        self.loop = loop
        self.answers: list[asyncio.Future[list[Result]]] = []
        self.running: list[tuple[Scheduler, Batch]] = []
        self.workspace = Workspace()
        self.hit_by_failure: set[int] = set()

    def choices(self) -> Iterator[Action]:
        """What may happen next."""
        if len(self.answers) < len(ASKED):
            yield "ask", len(self.answers)
        if len(self.running) < NUM_THREADS:
            yield "take", 0
        for place in range(len(self.running)):
            yield "finish", place
            yield "fail", place
        for index, answer in enumerate(self.answers):
            if not answer.done():
                yield "leave", index
        yield "turn", 0

    def do(self, action: Action) -> None:
        """Have it happen."""
        name, which = action
        getattr(self, f"_{name}")(which)

    def end(self) -> None:
        """Let everything run out, and hold every answer to what is owed."""
        while self.running:
            self._finish(0)
        self._turn(0)
        while True:
            self._take(0)
            if not self.running:
                break
            self._finish(0)
            self._turn(0)
        for index, answer in enumerate(self.answers):
            assert answer.done(), "an answer was lost"
            if answer.cancelled():
                continue
            if error := answer.exception():
                assert isinstance(error, InferenceError)
                assert index in self.hit_by_failure, "a failure reached a stranger"
                continue
            for result, sequence in zip(answer.result(), ASKED[index], strict=True):
                check_result(result, sequence)
        self.served.check_empty()
        assert self.engine.num_waiting(self.served.scheduler) == 0

    async def _predict(self, index: int) -> asyncio.Future[list[Result]]:
        return predict(self.engine, self.served.scheduler, ASKED[index])

    def _ask(self, index: int) -> None:
        self.answers.append(self.loop.run_until_complete(self._predict(index)))

    def _take(self, _: int) -> None:
        if (taken := self.engine._take()) is not None:
            self.running.append(taken)

    def _finish(self, place: int) -> None:
        scheduler, batch = self.running.pop(place)
        outputs = scheduler.compute(batch, self.workspace)
        self._settle(scheduler, scheduler.complete(batch, outputs))

    def _fail(self, place: int) -> None:
        scheduler, batch = self.running.pop(place)
        asked = {id(steps): index for index, all_ in enumerate(ASKED) for steps in all_}
        self.hit_by_failure |= {asked[id(sequence.inputs)] for sequence in batch.sequences}
        self._settle(scheduler, scheduler.fail(batch, InferenceError("on purpose")))

    def _settle(self, scheduler: Scheduler, jobs: list) -> None:  # type: ignore[type-arg]
        self.engine._busy[id(scheduler)] = scheduler
        if jobs:
            self.engine._hand_over(jobs)

    def _leave(self, index: int) -> None:
        self.answers[index].cancel()

    def _turn(self, _: int) -> None:
        self.loop.run_until_complete(asyncio.sleep(0))


@pytest.mark.parametrize("kind", ["cells", "sequences"])
def test_no_interleaving_loses_doubles_or_swaps_an_answer(kind: Kind) -> None:
    loop = asyncio.new_event_loop()
    paths: list[list[Action]] = [[]]
    num_ended = 0
    while paths:
        path = paths.pop()
        world = World(kind, loop)
        for action in path:
            world.do(action)
        if len(path) < DEPTH:
            paths.extend([*path, action] for action in world.choices())
        try:
            world.end()
        except AssertionError as error:
            raise AssertionError(f"{error} after {path}") from error
        num_ended += 1
    loop.close()
    assert num_ended > 900
