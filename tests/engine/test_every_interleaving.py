"""Every interleaving of a small scenario, one after the other: none loses, doubles or swaps.

The engine has no threads here; the test is two of them, and the event loop, and the callers, and
the clock, and takes every order of their next steps down to a depth, then lets everything run out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Literal

import numpy as np
import pytest

from service import native
from service.engine.engine import Engine
from service.engine.place import Taken
from service.errors import InferenceError, InferenceTimeoutError
from service.manifest import Manifest
from service.schedulers.job import Job
from service.telemetry.metrics import Metrics
from tests.engine.harness import Observed, made_cost, settle
from tests.fakes import Result, SumModel, check_result, make_manifest, random_sequence

DEPTH = 5  # 7 was run too, in two minutes
NUM_THREADS = 2
REQUESTS = ((3, 1), (2,), (1,))  # lengths of each one's sequences
TIMEOUT_S = 1_000.0  # of the first; each other's is longer by as much
RANDOM = np.random.default_rng(0)
ASKED = [[random_sequence(RANDOM, length) for length in lengths] for lengths in REQUESTS]
COST, METRICS = made_cost(2), Metrics()  # which take most of the time to make

Kind = Literal["cells", "sequences"]
MANIFESTS: dict[Kind, Manifest] = {
    "cells": make_manifest("cells"),
    "sequences": make_manifest("sequences"),
}
Action = tuple[str, int]


class World:
    """An engine whose threads are played by hand, in a state that some actions led to."""

    def __init__(self, kind: Kind) -> None:
        self.served = Observed(
            SumModel(MANIFESTS[kind]),
            COST,
            METRICS,
            max_batch_size=2,
            chunk_steps=2,
            max_active_sequences=2,
        )
        self.engine = Engine(0)
        self.engine.add(self.served.scheduler)
        self.loop = asyncio.new_event_loop()
        self.jobs: list[Job] = []
        self.answers: list[asyncio.Future[list[Result]]] = []
        self.num_told: list[int] = []
        self.running: list[Taken] = []
        self.workspace = native.Workspace()
        self.hit_by_failure: set[int] = set()
        self.num_late = 0

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
        if self.num_late < len(self.answers):
            yield "late", self.num_late
        yield "collect", 0
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
            assert self.num_told[index] == (not answer.cancelled()), "a caller was told twice"
            if answer.cancelled():
                continue
            error = answer.exception()
            if isinstance(error, InferenceTimeoutError):
                assert index < self.num_late, "too late before its time"
                continue
            if error is not None:
                assert isinstance(error, InferenceError)
                assert index in self.hit_by_failure, "a failure reached a stranger"
                continue
            for result, sequence in zip(answer.result(), ASKED[index], strict=True):
                check_result(result, sequence)
        self.served.check_empty()
        assert self.engine.num_waiting(self.served.scheduler) == 0
        assert self.engine.core.expire(float("inf")) == []
        self.loop.close()

    async def _submit(self, index: int) -> None:
        answer: asyncio.Future[list[Result]] = self.loop.create_future()

        def on_done(job: Job) -> None:
            self.num_told[index] += 1
            settle(self.served.scheduler, answer, job)

        timeout_s = TIMEOUT_S * (1 + index)
        job = self.engine.submit(self.served.scheduler, ASKED[index], timeout_s, on_done)
        self.jobs.append(job)
        self.answers.append(answer)
        self.num_told.append(0)

    def _ask(self, index: int) -> None:
        self.loop.run_until_complete(self._submit(index))

    def _take(self, _: int) -> None:
        if (taken := self.engine.core.take()) is not None:
            self.running.append(taken)

    def _finish(self, place: int) -> None:
        taken = self.running.pop(place)
        taken[0].prepare(taken[1], self.workspace)
        self.engine.run(taken, self.workspace)

    def _fail(self, place: int) -> None:
        taken = self.running.pop(place)
        self.hit_by_failure |= {self.jobs.index(s.job) for s in taken[1].sequences}  # type: ignore[arg-type]
        self.engine.fail(taken, ValueError("on purpose"))

    def _leave(self, index: int) -> None:
        self.answers[index].cancel()
        self.engine.cancel(self.jobs[index])

    def _late(self, index: int) -> None:
        """The deadline of one more request passes."""
        self.num_late += 1
        for job in self.engine.core.expire(self.jobs[index].deadline_s):
            self.engine._on_late(job)

    def _collect(self, _: int) -> None:
        """The event loop's turn, but for what the failures have it do."""
        self.engine.collect()

    def _turn(self, _: int) -> None:
        self.loop.run_until_complete(asyncio.sleep(0))


@pytest.mark.parametrize("kind", ["cells", "sequences"])
def test_no_interleaving_loses_doubles_or_swaps_an_answer(kind: Kind) -> None:
    paths: list[list[Action]] = [[]]
    num_ended = 0
    while paths:
        path = paths.pop()
        world = World(kind)
        for action in path:
            world.do(action)
        if len(path) < DEPTH:
            paths.extend([*path, action] for action in world.choices())
        try:
            world.end()
        except AssertionError as error:
            raise AssertionError(f"{error} after {path}") from error
        num_ended += 1
    assert num_ended > 3_000
