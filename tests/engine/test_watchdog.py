"""A run that hangs is given up: its model is quarantined, and another thread serves the others."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service.engine.engine import Engine
from service.errors import QuarantinedError
from service.graphs.model import Arrays
from service.graphs.runs import run_graph
from tests.engine.harness import Observed, predict
from tests.fakes import (
    TIMEOUT_S,
    GatedModel,
    Result,
    SumModel,
    check_result,
    make_manifest,
    make_sequence,
)
from tests.servers import wait_until

MAX_HANG_S, QUARANTINE_S = 0.1, 0.2
SEQUENCE = make_sequence([1, 2, 3])


class HangingModel(GatedModel):
    """Its runs are runs of a graph that hears of nothing."""

    def run(self, inputs: NDArray[np.float32], lengths: NDArray[np.int64], state: Arrays) -> Arrays:
        """Run one batch, once the gate opens."""
        outputs: Arrays = run_graph(
            lambda *_: super(HangingModel, self).run(inputs, lengths, state)
        )
        return outputs


class Served:
    """An engine of one thread, a model that hangs and one that does not."""

    def __init__(self) -> None:
        self.engine = Engine(1, max_hang_s=MAX_HANG_S, quarantine_s=QUARANTINE_S)
        self.hanging = Observed(HangingModel(make_manifest()))
        self.other = Observed(SumModel(make_manifest(name="other")))
        for each in (self.hanging, self.other):
            self.engine.add(each.scheduler)

    def open(self) -> None:
        """Let what hangs end."""
        assert isinstance(self.hanging.model, HangingModel)
        self.hanging.model.open()

    async def ask(self, which: Observed) -> Result:
        (result,) = await predict(self.engine, which.scheduler, [SEQUENCE])
        return result

    async def hang(self) -> None:
        """Have a run hang until it is given up, and one wait behind it."""
        asked = [asyncio.create_task(self.ask(self.hanging)) for _ in range(20)]
        for one in asked:
            with pytest.raises(QuarantinedError):
                await one

    async def wait_let_in(self) -> None:
        """Return when the quarantine is over."""
        await asyncio.to_thread(wait_until, lambda: not self.hanging.scheduler.is_quarantined)


def test_others_serve_on_while_one_hangs_and_it_serves_again_later() -> None:
    served = Served()
    (first,) = served.engine.threads

    async def scenario() -> None:
        await served.hang()
        with pytest.raises(QuarantinedError) as refusal:
            await served.ask(served.hanging)
        assert refusal.value.retry_after_s == 60, "nobody knows when it will end"
        assert served.hanging.metric("seqserve_hung_runs_total") == 1
        check_result(await served.ask(served.other), SEQUENCE)
        assert served.engine.threads != [first]
        served.open()
        await served.wait_let_in()
        check_result(await served.ask(served.hanging), SEQUENCE)
        first.join(TIMEOUT_S)
        assert not first.is_alive()

    asyncio.run(scenario())
    assert served.engine.close()
    served.hanging.check_empty()


def test_each_time_it_is_twice_as_long() -> None:
    served = Served()
    core, left_s = served.hanging.core, list[float]()

    async def scenario() -> None:
        for _ in range(3):
            await served.hang()
            assert isinstance(served.hanging.model, HangingModel)
            served.hanging.model.open(1)
            await asyncio.to_thread(wait_until, lambda: core.quarantine_left_s < TIMEOUT_S)
            left_s.append(core.quarantine_left_s)
            await served.wait_let_in()

    asyncio.run(scenario())
    assert [round(left / QUARANTINE_S) for left in left_s] == [1, 2, 4]
    served.open()
    assert served.engine.close()


def test_a_model_that_hangs_can_be_removed_and_is_not_held() -> None:
    served = Served()
    asyncio.run(served.hang())
    removing = threading.Thread(target=served.engine.remove, args=(served.hanging.scheduler,))
    removing.start()
    removing.join(TIMEOUT_S)
    assert not removing.is_alive()
    held: list[weakref.ref[Any]] = [weakref.ref(served.hanging.scheduler)]
    served.open()
    assert served.engine.close()
    del served.hanging, removing
    gc.collect()
    assert [each() for each in held] == [None]


def test_what_is_stuck_does_not_keep_the_engine_from_closing() -> None:
    served = Served()
    asyncio.run(served.hang())
    assert not served.engine.close(patience_s=0.05)
    served.open()


def test_a_long_run_does_not_keep_the_engine_from_closing() -> None:
    engine = Engine(1)
    gated = Observed(HangingModel(make_manifest()))
    engine.add(gated.scheduler)

    async def scenario() -> None:
        asked = predict(engine, gated.scheduler, [SEQUENCE])
        assert isinstance(gated.model, HangingModel)
        await asyncio.to_thread(gated.model.wait_entered)
        asked.cancel()

    asyncio.run(scenario())
    assert not engine.close(patience_s=0.05)
    assert isinstance(gated.model, HangingModel)
    gated.model.open()
    assert engine.close()
