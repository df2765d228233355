"""A decoder's scheduler driven by hand, and any prompts for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from service import native
from service.decoding.prompt import Beam, Generated, Prompt, Sampling
from service.schedulers.decoding import DecodingJob, DecodingScheduler
from service.schedulers.job import NORMAL_PRIORITY, Job
from service.telemetry.metrics import Metrics
from tests.decoding.fakes import VOCABULARY, FakeDecoder, tokens_of
from tests.decoding.graphs import OnnxFake
from tests.decoding.reference import Text, expected
from tests.engine.harness import DEFAULTS
from tests.fakes import TIMEOUT_S

samplings = st.builds(
    Sampling,
    max_tokens=st.integers(1, 12),
    temperature=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    top_k=st.sampled_from([0, 1, 3, 50]),
    top_p=st.sampled_from([1.0, 0.9, 0.3]),
    seed=st.integers(0, 2**64 - 1),
)
beams = st.integers(1, 4).flatmap(
    lambda width: st.builds(
        Beam,
        width=st.just(width),
        max_tokens=st.integers(1, 8),
        length_penalty=st.sampled_from([0.0, 0.6, 1.0, 2.0]),
        num_best=st.integers(1, width),
    )
)
token_lists = st.lists(st.integers(0, VOCABULARY - 2), min_size=1, max_size=9)


@st.composite
def prompts(draw: st.DrawFn, has_source: bool) -> Prompt:
    """Any prompt."""
    source = tokens_of(draw(token_lists)) if has_source else None
    return Prompt(tokens_of(draw(token_lists)), draw(samplings | beams), source)


def made(decoder: FakeDecoder | OnnxFake, **bounds: Any) -> DecodingScheduler:
    """Its scheduler; `runs` then holds what it ran since."""
    metrics = Metrics().of_model("decoder", "1")
    scheduler = DecodingScheduler(decoder, replace(DEFAULTS, calibration_ms=0, **bounds), metrics)
    decoder.runs.clear()
    return scheduler


class ByHand:
    """Plays the engine, a run at a time."""

    def __init__(self, decoder: FakeDecoder | OnnxFake, **bounds: Any) -> None:
        self.decoder = decoder
        self.scheduler = made(decoder, **bounds)
        self.core = self.scheduler.core
        self.workspace = native.Workspace()
        self.answered: list[native.Job] = []

    def submit(self, *asked: Prompt, priority: int = NORMAL_PRIORITY) -> DecodingJob:
        """Queue one request."""
        job = self.scheduler.make_job(asked, lambda job: None, priority, TIMEOUT_S)
        assert isinstance(job, DecodingJob)
        self.core.enqueue(job)
        return job

    def cancel(self, job: Job) -> None:
        """Have the caller leave."""
        job.gone = True
        self.core.forget(job)

    def finish(self, run: native.Run) -> None:
        """Make a run that was taken."""
        self.answered += self.core.complete(run, *self.scheduler.compute(run, self.workspace))

    def drain(self) -> None:
        """Run until nothing is left to take."""
        while (run := self.core.take()) is not None:
            self.finish(run)

    def run(self, *asked: Prompt) -> list[list[Generated]]:
        """What these prompts give, asked by one request."""
        job = self.submit(*asked)
        self.drain()
        assert job in self.answered
        return self.scheduler.results(job)


def check(decoder: FakeDecoder, prompt: Prompt, found: list[Generated]) -> None:
    """Fail unless this is what a prompt must come to."""
    wanted = expected(decoder, prompt)
    assert len(found) == len(wanted)
    for generated, text in zip(found, wanted, strict=True):
        check_text(generated, text)
        if prompt.source is not None:
            assert generated.attention is not None
            assert generated.attention.shape == (len(generated.tokens), len(prompt.source))
            np.testing.assert_allclose(generated.attention.sum(axis=1), 1, atol=1e-5)


def check_text(generated: Generated, text: Text) -> None:
    """Fail unless it is this text."""
    tokens, logprobs, score = text
    assert generated.tokens.tolist() == tokens
    np.testing.assert_allclose(generated.logprobs, logprobs, atol=1e-5)
    np.testing.assert_allclose(generated.score, score, atol=1e-5)
