"""What is replaced or unloaded answers what it took, and then nothing of it is left."""

from __future__ import annotations

import asyncio
import gc
import weakref
from pathlib import Path
from typing import Any, Literal

import pytest

from service.engine.engine import Engine
from service.errors import ModelGoneError
from service.manifest import Manifest
from service.repository.routes import Entry, Routes
from service.repository.served import Loaded, Served
from service.schedulers.sequences import SequenceScheduler
from tests.engine.gated import BLOCKER, block, check_answer, running, submit
from tests.engine.harness import Observed, made_cost, predict
from tests.fakes import GatedModel, Result, make_manifest, make_sequence, task_of_manifest
from tests.http.asking import as_json, plain
from tests.http.echo import EchoModel, echo_manifest
from tests.http.inside import Inside, inside
from tests.http.raw import comparable

Kind = Literal["cells", "sequences"]
both = pytest.mark.parametrize("kind", ["cells", "sequences"])


async def removing(engine: Engine, served: Observed) -> asyncio.Task[None]:
    """Have a model removed; its door is closed when this returns."""
    task = asyncio.create_task(asyncio.to_thread(engine.remove, served.scheduler))
    while True:
        try:
            engine.cancel(engine.submit(served.scheduler, [BLOCKER], 9.0, lambda job: None))
        except ModelGoneError:
            return task
        await asyncio.sleep(0)


@both
def test_a_removed_model_answers_what_it_took_and_takes_no_more(kind: Kind) -> None:
    served, other = (
        Observed(GatedModel(make_manifest(kind))),
        Observed(GatedModel(make_manifest(kind, name="other"))),
    )
    waiting = make_sequence([4, 5, 6, 7])

    async def scenario() -> None:
        blocker = await block(engine, served)
        behind = await submit(engine, served, waiting)
        removal = await removing(engine, served)
        with pytest.raises(ModelGoneError):
            await predict(engine, served.scheduler, [waiting])
        assert not removal.done()
        assert isinstance(served.model, GatedModel)
        served.model.open()
        await check_answer(blocker, BLOCKER)
        await check_answer(behind, waiting)
        await removal
        assert engine.num_waiting(served.scheduler) == 0
        with pytest.raises(ModelGoneError):
            await predict(engine, served.scheduler, [waiting])
        assert isinstance(other.model, GatedModel)
        other.model.open()
        await check_answer(await submit(engine, other, waiting), waiting)

    with running(served, other) as engine:
        asyncio.run(scenario())


@both
def test_a_run_whose_callers_left_is_waited_for(kind: Kind) -> None:
    served = Observed(GatedModel(make_manifest(kind)))

    async def scenario() -> None:
        blocker = await block(engine, served)
        blocker.cancel()
        await asyncio.wait([blocker])
        removal = await removing(engine, served)
        assert not removal.done(), "its graph is running"
        assert isinstance(served.model, GatedModel)
        served.model.open()
        await removal

    with running(served) as engine:
        asyncio.run(scenario())
        assert all(thread.is_alive() for thread in engine.threads)


@both
def test_a_closing_engine_keeps_nobody_waiting_who_removes(kind: Kind) -> None:
    served = Observed(GatedModel(make_manifest(kind)))

    async def scenario() -> None:
        blocker = await block(engine, served)
        removal = await removing(engine, served)
        closing = asyncio.create_task(asyncio.to_thread(engine.close))
        await removal
        assert isinstance(served.model, GatedModel)
        served.model.open()
        await closing
        await check_answer(blocker, BLOCKER)

    with running(served) as engine:
        asyncio.run(scenario())


@both
def test_nothing_of_a_removed_model_is_held(kind: Kind) -> None:
    engine = Engine(2)

    async def ask(scheduler: SequenceScheduler) -> list[Result]:
        return await predict(engine, scheduler, [make_sequence([1, 2, 3])])

    served = Observed(GatedModel(make_manifest(kind)))
    assert isinstance(served.model, GatedModel)
    served.model.open()
    engine.add(served.scheduler)
    asyncio.run(ask(served.scheduler))
    held: list[weakref.ref[Any]] = [weakref.ref(served.scheduler), weakref.ref(served.model)]
    engine.remove(served.scheduler)
    del served
    gc.collect()
    assert [each() for each in held] == [None, None]
    engine.close()


def replace(server: Inside, salt: bytes) -> None:
    """Have another version of the same number serve, and remove the one that did."""
    (old,) = server._served
    manifest = old.manifest
    assert isinstance(manifest, Manifest)
    model = EchoModel(manifest, salt)
    bounds = server._bounds
    metrics = server.metrics.of_model(old.name, old.version)
    cost = made_cost(bounds.max_batch_size)
    scheduler = SequenceScheduler(model, bounds, cost, metrics)
    served = Served.of_bundle(task_of_manifest(manifest), scheduler)
    server.engine.add(served.scheduler)
    server._served[:] = [served]
    entry = Entry(old.name, "1", "READY", loaded=Loaded(served, {}))
    server.repository._catalog.put(Routes(old.name, {}).replace(entry))
    server.engine.remove(old.scheduler)


WHOLE = as_json(plain([1, 2, 2]))
LONG = as_json(plain([1, 900, 2]))


async def answer_of(server: Inside, whole: bytes) -> tuple[Any, ...]:
    return comparable(await server.connect(fast=False).ask(whole))


@pytest.mark.parametrize("whole", [WHOLE, LONG], ids=["short", "read in a thread"])
def test_a_body_that_comes_after_its_model_was_replaced_is_answered_by_the_new(
    tmp_path: Path, whole: bytes
) -> None:
    model = EchoModel(echo_manifest("sequences"), b"old")
    with inside(tmp_path, model, inline_body_bytes=1_000) as server:

        async def scenario() -> None:
            before = await answer_of(server, whole)
            client = server.connect(fast=False)
            client.send(whole[:-9])
            replace(server, b"new")
            client.send(whole[-9:])
            (late,) = await client.wait(1)
            assert late.status == 200
            assert comparable(late) == await answer_of(server, whole) != before

        asyncio.run(scenario())


def test_what_was_known_by_heart_is_asked_of_the_new_model(tmp_path: Path) -> None:
    model = EchoModel(echo_manifest("sequences"), b"old")
    with inside(tmp_path, model) as server:

        async def scenario() -> None:
            client = server.connect()
            before = [comparable(await client.ask(WHOLE)) for _ in range(3)]
            assert server.num_fast == 1
            replace(server, b"new")  # and nobody tells the fast path
            after = [comparable(await client.ask(WHOLE)) for _ in range(3)]
            assert {status for status, *_ in (*before, *after)} == {200}
            assert before[0] == before[1] == before[2]
            assert after[0] == after[1] == after[2] != before[0]

        asyncio.run(scenario())


def test_a_request_under_way_is_answered_by_the_model_that_took_it(tmp_path: Path) -> None:
    model = EchoModel(echo_manifest("sequences"), b"old")
    with inside(tmp_path, model) as server:

        async def scenario() -> None:
            client = server.connect()
            wanted, *_ = [comparable(await client.ask(WHOLE)) for _ in range(3)]
            while model.has_entered():
                pass
            model.gate.clear()
            client.send(WHOLE)
            await asyncio.to_thread(model.wait_entered)
            replacing = asyncio.create_task(asyncio.to_thread(replace, server, b"new"))
            await asyncio.sleep(0)
            model.gate.set()
            assert comparable((await client.wait(4))[3]) == wanted
            await replacing

        asyncio.run(scenario())
