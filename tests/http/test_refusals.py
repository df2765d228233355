"""There is no room: who is told so at once, and who a little later."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from service.errors import OverloadedError
from service.lane.refusals import LONGEST_S, Refusals
from service.lane.turn import Turn
from tests.http.echo import EchoModel, Kind, echo_manifest
from tests.http.held import Served, answer_of, of
from tests.http.inside import Client, inside
from tests.http.raw import RawAnswer

PER_S = 5  # and one of them saved up

FIRST, SECOND = of(1, 2, 3, 4), of(5, 6, 7, 8)


@pytest.fixture(params=["known by heart", "read"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    kind: Kind = "cells"
    model = EchoModel(echo_manifest(kind))
    limits = {"max_queue_size": 1, "max_batch_size": 1, "max_request_sequences": 1}
    with inside(tmp_path, model, max_refusals_per_s=PER_S, **limits) as server:
        connect = server.connect
        if request.param == "read":
            server.connect = partial(connect, fast=False)  # type: ignore[method-assign]
        yield Served(server, model)


async def full(served: Served) -> Client:
    """Take the only place there is; the client that waits for its answer."""
    while served.model.has_entered():
        pass
    served.model.gate.clear()
    client = served.server.connect()
    client.send(FIRST)
    await asyncio.to_thread(served.model.wait_entered)
    return client


def check_refused(answer: RawAnswer) -> None:
    assert answer.status == 429
    assert answer.header(b"retry-after") == b"1"
    assert json.loads(answer.body)["code"] == "overloaded"


def asked(served: Served, count: int) -> list[Client]:
    """Clients that have just asked."""
    clients = [served.server.connect() for _ in range(count)]
    for client in clients:
        client.send(SECOND)
    return clients


def test_the_first_is_told_at_once_and_the_others_in_their_turn(served: Served) -> None:
    async def scenario() -> None:
        first = await full(served)
        clients = asked(served, 5)
        began_s = time.monotonic()
        assert [len(client.answers) for client in clients] == [1, 0, 0, 0, 0]
        told_s = []
        for client in clients:
            check_refused(await answer_of(client))
            told_s.append(time.monotonic() - began_s)
        assert told_s[-1] >= 3.5 / PER_S
        assert served.server.outcomes("overloaded") == 5
        served.model.gate.set()
        assert (await answer_of(first)).status == 200
        assert (await clients[-1].ask(SECOND)).status == 200
        assert [len(client.answers) for client in clients] == [1, 1, 1, 1, 2]

    asyncio.run(scenario())


def test_nobody_waits_longer_than_that(served: Served) -> None:
    async def scenario() -> None:
        first = await full(served)
        began_s = time.monotonic()
        clients = asked(served, 6 * PER_S)
        for client in clients:
            check_refused(await answer_of(client))
        assert 0.8 * LONGEST_S < time.monotonic() - began_s < 3 * LONGEST_S
        served.model.gate.set()
        assert (await answer_of(first)).status == 200

    asyncio.run(scenario())


def test_one_that_fails_keeps_no_other_waiting() -> None:
    class Fails:
        over = False

        def refuse_now(self, error: OverloadedError) -> None:
            raise RuntimeError(str(error))

    async def scenario() -> None:
        failed = asyncio.Semaphore(0)
        asyncio.get_running_loop().set_exception_handler(lambda *_: failed.release())
        refusals = Refusals(max_per_s=100)
        error = OverloadedError("no room")
        while not refusals.defer(cast("Turn", Fails()), error):
            pass
        for _ in range(3):
            assert refusals.defer(cast("Turn", Fails()), error)
        async with asyncio.timeout(5):
            for _ in range(4):
                await failed.acquire()

    asyncio.run(scenario())


def test_who_leaves_meanwhile_is_nobodys_burden(served: Served) -> None:
    async def scenario() -> None:
        first = await full(served)
        told, *leaving, last = asked(served, 6 * PER_S)
        for client in leaving:
            client.leave()
        began_s = time.monotonic()
        check_refused(await answer_of(last))
        assert time.monotonic() - began_s < 0.9 * LONGEST_S, "they have no turn any more"
        assert len(told.answers) == 1
        assert served.server.outcomes("cancelled") == len(leaving)
        assert not any(client.answers for client in leaving)
        served.model.gate.set()
        assert (await answer_of(first)).status == 200

    asyncio.run(scenario())


def test_a_body_that_still_comes_passes_and_what_follows_waits(served: Served) -> None:
    async def scenario() -> None:
        await served.server.connect().ask(SECOND)
        first = await full(served)
        asked(served, 1)
        client = served.server.connect()
        client.send(SECOND)  # which waits
        client.send(FIRST[:20])
        await asyncio.sleep(0)
        client.send(FIRST[20:])
        assert not client.answers
        check_refused(await answer_of(client))
        served.model.gate.set()
        assert (await answer_of(first)).status == 200
        answers = await client.wait(2)
        assert answers[1].status in (200, 429)  # by whether the place was free by then
        assert served.server.services.bodies.num_bytes == 0

    asyncio.run(scenario())


def test_what_is_refused_by_its_head_is_read_to_its_end(served: Served) -> None:
    async def scenario() -> None:
        assert (await served.server.connect().ask(SECOND)).status == 200
        served.server.engine.note_lag(15.3)  # twice that is more than any request may take
        check_refused(await answer_of(asked(served, 1)[0]))
        client = served.server.connect()
        cut = SECOND.index(b"\r\n\r\n") + 10
        client.send(SECOND[:cut])
        await asyncio.sleep(0)
        client.send(SECOND[cut:-5])
        assert not client.answers
        assert served.server.services.bodies.num_bytes == 0, "nothing of it is kept"
        check_refused(await answer_of(client))
        for _ in range(40):
            served.server.engine.note_lag(0.0)
        client.send(SECOND[-5:] + SECOND)
        assert (await client.wait(2))[1].status == 200

    asyncio.run(scenario())


def test_an_end_of_patience_is_told_at_once(served: Served) -> None:
    async def scenario() -> None:
        await full(served)
        asked(served, 1)
        (client,) = asked(served, 1)
        for task in list(served.server.state.tasks):
            task.cancel()
        answer = await answer_of(client)
        assert answer.status == 503
        await asyncio.sleep(3 / PER_S)
        assert len(client.answers) == 1
        served.model.gate.set()

    asyncio.run(scenario())
