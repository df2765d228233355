"""Whatever runs with whatever, each text is what it is alone, and nothing stays."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import native
from service.decoding.prompt import Prompt, Sampling
from service.schedulers.decoding import DecodingJob
from tests.decoding.fakes import KINDS, tokens_of
from tests.decoding.harness import ByHand, check, prompts

bounds = st.fixed_dictionaries(
    {
        "max_batch_size": st.integers(1, 9),
        "chunk_steps": st.sampled_from([None, 1, 2, 5]),
        "engine_threads": st.integers(1, 3),
        "max_active_sequences": st.integers(1, 9),
    }
)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(KINDS)), bounds, st.data())
def test_each_text_is_what_it_is_alone(
    kind: str, bounds: dict[str, Any], data: st.DataObject
) -> None:
    decoder = KINDS[kind]()
    hand = ByHand(decoder, **bounds)
    asked = data.draw(
        st.lists(
            st.lists(prompts(kind == "translator"), min_size=1, max_size=3), min_size=1, max_size=6
        )
    )
    jobs: list[DecodingJob] = []
    cancelled: list[DecodingJob] = []
    in_flight: list[native.Run] = []
    waiting = list(asked)
    while waiting or in_flight or hand.core.pool:
        can = ["submit"] * bool(waiting) + ["finish"] * bool(in_flight)
        can += ["take"] * (bool(hand.core.pool) and len(in_flight) < 2)
        can += ["cancel"] * bool(jobs and len(cancelled) < 2)
        what = data.draw(st.sampled_from(can))
        if what == "submit":
            jobs.append(hand.submit(*waiting.pop(0), priority=data.draw(st.integers(1, 3))))
        elif what == "take":
            run = hand.core.take()
            if run is None:
                assert in_flight
                continue
            rows = [
                job.generations[index].prompt.num_rows
                for job, index in run.places
                if isinstance(job, DecodingJob)
            ]
            assert sum(rows) <= hand.scheduler.bounds.max_batch_size or len(rows) == 1
            in_flight.append(run)
        elif what == "finish":
            hand.finish(in_flight.pop(data.draw(st.integers(0, len(in_flight) - 1))))
        else:
            job = data.draw(st.sampled_from(jobs))
            if job not in hand.answered and job not in cancelled:
                hand.cancel(job)
            cancelled.append(job)
    assert hand.core.num_waiting == hand.core.num_active == 0
    for job, texts in zip(jobs, asked, strict=True):
        assert job in hand.answered or job in cancelled
        if job in hand.answered:
            for prompt, found in zip(texts, hand.scheduler.results(job), strict=True):
                check(decoder, prompt, found)


@pytest.mark.parametrize("kind", ["lstm", "attention"])
def test_states_of_ended_texts_are_freed(kind: str) -> None:
    hand = ByHand(KINDS[kind]())
    short = Prompt(tokens_of([2, 3]), Sampling(2, temperature=0))
    long = Prompt(tokens_of([4]), Sampling(9, temperature=0))
    jobs = [hand.submit(short), hand.submit(long)]
    held = []
    while (run := hand.core.take()) is not None:
        hand.finish(run)
        generations = [job.generations[0] for job in jobs]
        held += [weakref.ref(it.group.states.cache) for it in generations if it.group]
    gc.disable()
    try:
        del generations
        assert held
        assert not any(ref() is not None for ref in held)
    finally:
        gc.enable()
