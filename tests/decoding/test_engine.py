"""Through the real engine: threads, streams, failures and callers that leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from service.decoding.prompt import Beam, Generated, Prompt, Sampling
from service.engine.engine import Engine
from service.errors import InferenceError, InvalidSequenceError, OverloadedError
from service.schedulers.decoding import DecodingScheduler
from service.schedulers.job import Job
from tests.decoding.fakes import KINDS, MARK, FakeAttention, FakeDecoder, FakeLstm, tokens_of
from tests.decoding.graphs import OnnxFake, onnx_of
from tests.decoding.harness import ByHand, check, made
from tests.fakes import TIMEOUT_S

Texts = list[list[Generated]]


class Served:
    """A decoder behind an engine, for one event loop; close it."""

    def __init__(
        self, decoder: FakeDecoder | OnnxFake, num_threads: int = 2, **bounds: Any
    ) -> None:
        self.scheduler: DecodingScheduler = made(decoder, engine_threads=num_threads, **bounds)
        self.engine = Engine(num_threads)
        self.engine.add(self.scheduler)

    def submit(self, *asked: Prompt) -> tuple[Job, asyncio.Future[Texts]]:
        """Ask, on the loop."""
        future: asyncio.Future[Texts] = asyncio.get_running_loop().create_future()

        def on_done(job: Job) -> None:
            if job.failure is not None:
                future.set_exception(job.failure)
                return
            try:
                future.set_result(self.scheduler.results(job))
            except InferenceError as error:
                future.set_exception(error)

        return self.engine.submit(self.scheduler, list(asked), TIMEOUT_S, on_done), future

    def close(self) -> None:
        """End it; nothing is left."""
        self.engine.close()
        assert self.scheduler.core.num_waiting == self.scheduler.core.num_active == 0
        assert self.scheduler.core.pool == []


def run(served: Served, scenario: Callable[[], Any]) -> Any:
    """Play a scenario on an event loop of its own."""
    try:
        return asyncio.run(asyncio.wait_for(scenario(), TIMEOUT_S))
    finally:
        served.close()


def prompt_of(index: int, **changes: Any) -> Prompt:
    """One of many prompts."""
    random = np.random.default_rng(index)
    given = tokens_of(random.integers(0, 10, 1 + index % 5).tolist())
    strategy = Beam(2, 6) if index % 10 == 0 else Sampling(1 + index % 23, seed=index)
    return Prompt(given, strategy)._replace(**changes)


@pytest.mark.parametrize("fake", [FakeLstm(end=None), FakeAttention()], ids=["lstm", "attention"])
def test_a_thousand_texts_none_lost(fake: FakeDecoder) -> None:
    served = Served(onnx_of(fake), max_queue_size=10_000, max_queue_cells=10**6, max_batch_size=24)

    async def scenario() -> list[Texts]:
        futures = [served.submit(prompt_of(index))[1] for index in range(1_000)]
        return await asyncio.gather(*futures)

    answers = run(served, scenario)
    for index in range(0, 1_000, 50):
        check(fake, prompt_of(index), answers[index][0])
    again = ByHand(onnx_of(fake))
    for index in range(1, 1_000, 60):
        (alone,) = again.run(prompt_of(index))
        assert alone[0].tokens.tolist() == answers[index][0][0].tokens.tolist()


def test_tokens_stream_in_order_and_before_the_end() -> None:
    served = Served(FakeLstm(end=None))

    async def scenario() -> None:
        streamed: list[list[int]] = [[] for _ in range(20)]

        def on_token(index: int, token: int, logprob: float) -> None:
            assert asyncio.get_running_loop()
            assert logprob <= 0
            streamed[index].append(token)

        async def one(index: int) -> None:
            prompt = Prompt(tokens_of([index % 10]), Sampling(1 + index, seed=index))
            _, future = served.submit(prompt._replace(stream=partial(on_token, index)))
            ((text,),) = await future
            assert streamed[index] == text.tokens.tolist()

        await asyncio.gather(*map(one, range(20)))

    run(served, scenario)


def test_who_leaves_is_told_nothing_more_and_frees_its_rows() -> None:
    decoder = FakeLstm(end=None)
    served = Served(decoder, 1, max_active_sequences=1)

    async def scenario() -> None:
        told: list[int] = []
        came = asyncio.Event()

        def on_token(token: int, logprob: float) -> None:
            told.append(token)
            came.set()

        long = Prompt(tokens_of([2]), Sampling(190), stream=on_token)
        job, _ = served.submit(long)
        await came.wait()
        decoder.gate.clear()
        _, other = served.submit(Prompt(tokens_of([3]), Sampling(3)))
        served.engine.cancel(job)
        count = len(told)
        decoder.gate.set()
        ((text,),) = await other
        assert len(text.tokens) == 3
        assert len(told) == count < 190

    run(served, scenario)


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_fails_the_graph_fails_alone(kind: str) -> None:
    decoder = KINDS[kind](forbidden=(0, MARK), fails=True)
    served = Served(decoder, max_batch_size=4)
    source = tokens_of([3, 4]) if decoder.spec.memory else None
    good = [prompt_of(index, source=source) for index in range(40)]
    bad = Prompt(tokens_of([2, MARK]), Sampling(3), source)

    async def scenario() -> None:
        for start in range(0, 40, 4):
            futures = [served.submit(it)[1] for it in good[start : start + 4]]
            failing = [served.submit(it)[1] for it in ([bad] if start % 8 else [])]
            for prompt, (answer,) in zip(good[start:], await asyncio.gather(*futures)):  # noqa: B905
                check(decoder, prompt, answer)
            for future in failing:
                with pytest.raises(InferenceError, match="failed on this text"):
                    await future

    run(served, scenario)
    assert all(not thread.is_alive() for thread in served.engine.threads)


@pytest.mark.parametrize("how", ["hook", "nan"])
def test_a_text_that_fails_leaves_its_neighbours(how: str) -> None:
    decoder = FakeLstm(end=None)
    decoder.embedding[MARK] = np.nan if how == "nan" else 0
    decoder.spec = FakeLstm(end=None, forbidden=(0, MARK)).spec

    def hook(token: int, logprob: float) -> bool:
        raise RuntimeError("on purpose")

    bad = Prompt(tokens_of([MARK]), Sampling(5), on_token=hook if how == "hook" else None)
    beam = bad._replace(strategy=Beam(2, 5)) if how == "nan" else bad
    served = Served(decoder, 1)

    async def scenario() -> list[Any]:
        futures = [served.submit(it)[1] for it in (prompt_of(7), bad, prompt_of(8), beam)]
        return await asyncio.gather(*futures, return_exceptions=True)

    first, failed, second, also_failed = run(served, scenario)
    assert isinstance(failed, InferenceError)
    assert isinstance(also_failed, InferenceError)
    check(decoder, prompt_of(7), first[0])
    check(decoder, prompt_of(8), second[0])


def test_prompts_that_do_not_fit_are_refused() -> None:
    served = Served(FakeLstm())
    wrong = [
        Prompt(tokens_of([2] * 100), Sampling(101)),
        prompt_of(1, source=tokens_of([1])),
        prompt_of(1, tokens=tokens_of([])),
        prompt_of(1, tokens=tokens_of([11])),
        prompt_of(1, tokens=tokens_of([3, -1])),
    ]
    for prompt in wrong:
        with pytest.raises(InvalidSequenceError):
            served.scheduler.make_job([prompt], lambda job: None, 2, 1.0)
    served.close()


def test_the_queue_is_bounded() -> None:
    decoder = FakeLstm(end=None)
    served = Served(decoder, 1, max_queue_size=3)
    decoder.gate.clear()

    async def scenario() -> None:
        futures = [served.submit(prompt_of(index))[1] for index in range(3)]
        with pytest.raises(OverloadedError, match="full"):
            served.submit(prompt_of(3))
        decoder.gate.set()
        await asyncio.gather(*futures)

    run(served, scenario)


def test_tokens_are_counted() -> None:
    hand = ByHand(FakeLstm(end=None))
    hand.run(Prompt(tokens_of([2]), Sampling(5)), Prompt(tokens_of([2, 3]), Sampling(7)))
    tokens = hand.scheduler.metrics.tokens
    assert tokens.generated._value.get() == 12
    assert sum(tokens.first_s.counts()) == 2
    assert sum(tokens.interval_s.counts()) == 10
