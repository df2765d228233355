"""A deadline that passes ends the work, wherever its sequence is."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest

from service.errors import InferenceTimeoutError
from tests.engine.gated import BLOCKER, block, check_answer, running, submit
from tests.engine.harness import Observed
from tests.fakes import GatedModel, make_manifest, make_sequence

Kind = Literal["cells", "sequences"]


@pytest.mark.parametrize("kind", ["cells", "sequences"])
def test_a_sequence_past_its_deadline_never_runs(kind: Kind) -> None:
    model = GatedModel(make_manifest(kind))
    served = Observed(model)
    late, patient = make_sequence([11, 22]), make_sequence([22, 11])

    async def scenario() -> None:
        await block(engine, served)
        waiting = await submit(engine, served, patient)
        with pytest.raises(InferenceTimeoutError, match=r"no answer within 0\.01 s"):
            await (await submit(engine, served, late, timeout_s=0.01))
        model.open()
        await check_answer(waiting, patient)

    with running(served) as engine:
        asyncio.run(scenario())
    assert model.num_runs(late) == 0


def test_a_deadline_that_is_past_already_takes_no_place_in_the_queue() -> None:
    served = Observed(GatedModel(make_manifest()))

    async def scenario() -> None:
        await block(engine, served)
        with pytest.raises(InferenceTimeoutError):
            await (await submit(engine, served, BLOCKER, timeout_s=-0.5))
        assert served.core.num_waiting == 0

    with running(served) as engine:
        asyncio.run(scenario())


def test_a_deadline_in_the_middle_of_a_long_sequence_stops_it() -> None:
    model = GatedModel(make_manifest("cells"))
    served = Observed(model, chunk_steps=1)

    async def scenario() -> None:
        task = await submit(engine, served, make_sequence(range(50)), timeout_s=0.05)
        model.open(2)
        for _ in range(3):
            await asyncio.to_thread(model.wait_entered)
        with pytest.raises(InferenceTimeoutError):
            await task

    with running(served) as engine:
        asyncio.run(scenario())
    assert len(model.runs) == 3
