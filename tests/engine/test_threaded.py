"""Real threads, any requests, and any of them given up at any moment."""

from __future__ import annotations

import asyncio
from typing import Any, Literal, NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine.engine import Engine
from service.errors import InferenceError, InferenceTimeoutError, OverloadedError
from tests.engine.harness import Observed, predict
from tests.fakes import (
    TIMEOUT_S,
    FailingModel,
    Result,
    Steps,
    check_result,
    make_manifest,
    marked,
    random_sequence,
)


class Request(NamedTuple):
    """What a caller asks, and how it ends."""

    lengths: list[int]
    fate: Literal["wait", "cancel", "timeout", "fail"]
    patience: int  # turns of the event loop before it cancels; units of 0.1 ms before time runs out
    priority: int


def requests(*fates: str) -> st.SearchStrategy[list[Request]]:
    lengths = st.lists(st.integers(1, 40), min_size=1, max_size=6)
    one = st.builds(Request, lengths, st.sampled_from(fates), st.integers(1, 20), st.integers(1, 3))
    return st.lists(one, min_size=1, max_size=12)


kinds = st.sampled_from(["cells", "sequences", "weights"])
bounds = st.fixed_dictionaries(
    {
        "max_batch_size": st.integers(1, 8),
        "chunk_steps": st.sampled_from([None, 1, 3, 16, 64]),
        "engine_threads": st.integers(1, 4),
        "max_active_sequences": st.integers(1, 9),
        "max_padding_ratio": st.sampled_from([1.0, 1.25, 4.0]),
    }
)


async def ask(engine: Engine, served: Observed, request: Request, sequences: list[Steps]) -> bool:
    """Play one caller; whether it was answered, which is checked."""
    timeout_s = request.patience / 10_000 if request.fate == "timeout" else TIMEOUT_S

    async def answer() -> list[Result]:
        return await predict(engine, served.scheduler, sequences, timeout_s, request.priority)

    task = asyncio.create_task(answer())
    if request.fate == "cancel":
        for _ in range(request.patience):
            await asyncio.sleep(0)
        task.cancel()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(outcome, BaseException):
        wanted: dict[str, tuple[type[BaseException], ...]] = {
            "cancel": (asyncio.CancelledError,),
            "timeout": (InferenceTimeoutError, OverloadedError),
            "fail": (InferenceError,),
        }
        assert isinstance(outcome, wanted.get(request.fate, ())), repr(outcome)
        return False
    check_results(outcome, sequences)
    assert request.fate != "fail"
    return True


def check_results(results: list[Result], sequences: list[Steps]) -> None:
    for result, sequence in zip(results, sequences, strict=True):
        check_result(result, sequence)


def play(kind: str, num_threads: int, bounds: dict[str, Any], asked: list[Request]) -> list[bool]:
    """Which of these requests, all sent at once, were answered; nothing is left of any."""
    manifest = (
        make_manifest("cells")
        if kind == "cells"
        else make_manifest("sequences", weights=kind == "weights")
    )
    served = Observed(FailingModel(manifest), **bounds)
    random = np.random.default_rng(0)
    inputs = [[random_sequence(random, n) for n in request.lengths] for request in asked]
    for request, sequences in zip(asked, inputs, strict=True):
        if request.fate == "fail":
            sequences[-1] = marked(sequences[-1], step=len(sequences[-1]) // 2)
    engine = Engine(num_threads)
    engine.add(served.scheduler)

    async def everyone() -> list[bool]:
        callers = zip(asked, inputs, strict=True)
        return await asyncio.gather(*(ask(engine, served, r, s) for r, s in callers))

    try:
        answered = asyncio.run(everyone())
        assert all(thread.is_alive() for thread in engine.threads)
    finally:
        engine.close()
    served.check_empty()
    return answered


@settings(max_examples=60, deadline=None)
@given(kinds, st.integers(1, 3), bounds, requests("wait"))
def test_everyone_gets_their_own_answers_in_order(
    kind: str, num_threads: int, bounds: dict[str, Any], asked: list[Request]
) -> None:
    assert all(play(kind, num_threads, bounds, asked))


@settings(max_examples=60, deadline=None)
@given(kinds, st.integers(1, 3), bounds, requests("wait", "cancel", "timeout"))
def test_callers_who_give_up_take_nothing_from_those_who_wait(
    kind: str, num_threads: int, bounds: dict[str, Any], asked: list[Request]
) -> None:
    answered = play(kind, num_threads, bounds, asked)
    waited = [request.fate == "wait" for request in asked]
    assert all(answer for answer, wait in zip(answered, waited, strict=True) if wait)


@settings(max_examples=60, deadline=None)
@given(kinds, st.integers(1, 3), bounds, requests("wait", "cancel", "timeout", "fail"))
def test_those_who_fail_take_nothing_from_those_who_wait(
    kind: str, num_threads: int, bounds: dict[str, Any], asked: list[Request]
) -> None:
    answered = play(kind, num_threads, bounds, asked)
    waited = [request.fate == "wait" for request in asked]
    assert all(answer for answer, wait in zip(answered, waited, strict=True) if wait)
