"""What goes wrong for a request that was known by heart stays there, and is told as ever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from service.lane.turn import Turn
from tests.http.asking import as_binary, as_json, plain
from tests.http.echo import FAILS, NOT_FINITE, EchoModel, Kind, echo_manifest
from tests.http.held import Served, answer_of, of
from tests.http.inside import inside
from tests.http.raw import RawAnswer, comparable

MAX_QUEUE = 4
ROW = [1, 2, 2]


@pytest.fixture(params=["cells", "sequences"])
def served(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Served]:
    kind: Kind = request.param
    model = EchoModel(echo_manifest(kind))
    limits = {"max_queue_size": MAX_QUEUE, "max_request_sequences": 3, "max_batch_size": 1}
    with inside(tmp_path, model, **limits) as server:
        yield Served(server, model)


FIRST, SECOND, THIRD = of(1, 2, 3, 4), of(5, 6, 7, 8), of(9, 10, 11, 12)


def test_a_client_that_leaves_is_counted_and_harms_nobody(served: Served) -> None:
    async def scenario() -> None:
        wanted = [await served.wanted(whole) for whole in (FIRST, THIRD)]
        await served.learn(FIRST)
        answered = served.server.outcomes("ok")
        first = await served.hold(FIRST)
        leaving, last = served.ask(SECOND), served.ask(THIRD)
        leaving.leave()
        assert served.server.outcomes("cancelled") == 1
        served.model.gate.set()
        for client, expected in zip((first, last), wanted, strict=True):
            assert comparable(await answer_of(client)) == expected
        assert leaving.answers == []
        assert served.server.outcomes("ok") == answered + 2
        assert served.server.outcomes("cancelled") == 1

    asyncio.run(scenario())


def test_a_client_that_leaves_while_it_is_computed_harms_nobody(served: Served) -> None:
    async def scenario() -> None:
        wanted = await served.wanted(SECOND)
        await served.learn(FIRST)
        leaving = await served.hold(FIRST)
        stays = served.ask(SECOND)
        leaving.leave()
        served.model.gate.set()
        assert comparable(await answer_of(stays)) == wanted
        assert leaving.answers == []
        assert served.server.outcomes("cancelled") == 1

    asyncio.run(scenario())


def test_a_client_that_leaves_behind_another_request_of_its_own_is_counted_once(
    served: Served,
) -> None:
    async def scenario() -> None:
        await served.learn(FIRST)
        client = await served.hold(FIRST)
        client.send(SECOND + THIRD[:-5])
        client.leave()
        served.model.gate.set()
        assert served.server.outcomes("cancelled") == 1
        assert comparable(await answer_of(served.ask(FIRST))) == await served.wanted(FIRST)

    asyncio.run(scenario())


def test_a_deadline_is_kept_and_frees_the_queue(served: Served) -> None:
    impatient = as_json(plain(ROW, parameters={"timeout": 50_000}))

    async def scenario() -> None:
        await served.learn(FIRST, impatient)
        first = await served.hold(FIRST)
        late = [served.ask(impatient) for _ in range(MAX_QUEUE - 1)]
        for client in late:
            answer = await answer_of(client)
            assert answer.status == 504
            assert json.loads(answer.body)["code"] == "timeout"
        again = [served.ask(SECOND) for _ in range(MAX_QUEUE - 1)]
        assert first.answers == []
        assert served.server.outcomes("timeout") == MAX_QUEUE - 1
        served.model.gate.set()
        for client in (first, *again):
            assert (await answer_of(client)).status == 200

    asyncio.run(scenario())


def test_a_deadline_and_what_is_timed_begin_with_the_head(served: Served) -> None:
    impatient = as_json(plain(ROW, parameters={"timeout": 5_000_000}))
    patient = as_json(plain(ROW, parameters={"timeout": 20_000_000}))

    async def ask_in_ten_seconds(whole: bytes, *, fast: bool) -> tuple[RawAnswer, float]:
        """The answer, and the seconds that are told of it."""
        client = served.server.connect(fast=fast)
        before_s = served.server.sum_of("seqserve_request_duration_seconds_sum")
        client.send(whole[:-9])
        turn = client.lane._turn
        assert isinstance(turn, Turn)
        turn.started_s -= 10.0
        answer = await client.ask(whole[-9:])
        return answer, served.server.sum_of("seqserve_request_duration_seconds_sum") - before_s

    async def scenario() -> None:
        await served.learn(impatient, patient)
        for whole, status, known in ((impatient, 504, 0), (patient, 200, 1)):
            before = served.server.num_fast
            answer, took_s = await ask_in_ten_seconds(whole, fast=True)
            assert served.server.num_fast == before + known
            expected, expected_s = await ask_in_ten_seconds(whole, fast=False)
            assert answer.status == status
            assert comparable(answer) == comparable(expected)
            assert took_s == pytest.approx(10.0, abs=2.0)
            assert expected_s == pytest.approx(10.0, abs=2.0)

    asyncio.run(scenario())


def test_a_graph_that_fails_fails_alone(served: Served) -> None:
    bad = of(1, 2, FAILS, 4)

    async def scenario() -> None:
        wanted = await served.wanted(bad)
        assert wanted[0] == 500
        await served.learn(FIRST)
        first = await served.hold(FIRST)
        failing, beside = served.ask(bad), served.ask(SECOND)
        served.model.gate.set()
        assert comparable(await answer_of(failing)) == wanted
        for client in (first, beside, served.ask(THIRD)):
            assert (await answer_of(client)).status == 200
        assert served.server.outcomes("inference_failed") == 2
        failing.send(FIRST)  # its connection goes on
        assert (await failing.wait(2))[1].status == 200

    asyncio.run(scenario())


@pytest.mark.parametrize("make", [as_json, as_binary])
def test_an_answer_that_is_not_finite_names_its_row(served: Served, make: Any) -> None:
    good = make(plain([3, 1, 2], [1, 2, 3, 4, 5, 6], [1, 1, 1]))
    bad = make(plain([3, 1, 2], [1, 2, NOT_FINITE, 4, NOT_FINITE, 6], [1, 1, 1]))

    async def scenario() -> None:
        wanted = await served.wanted(bad)
        assert wanted[0] == 422
        assert wanted[2]["field"] == "inputs[1]"
        await served.learn(good)
        assert comparable(await answer_of(served.ask(bad))) == wanted
        assert served.server.outcomes("invalid_sequence") == 2

    asyncio.run(scenario())


def test_a_full_queue_refuses_at_once_and_later_takes_again(served: Served) -> None:
    async def scenario() -> None:
        await served.learn(FIRST)
        clients = [await served.hold(FIRST)]
        clients += [served.ask(SECOND) for _ in range(MAX_QUEUE - 1)]
        refused = await answer_of(served.ask(THIRD))
        expected = await served.wanted(THIRD)
        assert comparable(refused)[2] == expected[2]
        assert refused.status == 429
        assert "queue of echo is full" in json.loads(refused.body)["error"]
        assert int(refused.header(b"retry-after")) >= 1
        assert served.server.outcomes("overloaded") == 2
        served.model.gate.set()
        for client in clients:
            assert (await answer_of(client)).status == 200
        assert (await answer_of(served.ask(THIRD))).status == 200

    asyncio.run(scenario())


def test_a_server_that_is_too_late_refuses_at_once(served: Served) -> None:
    async def scenario() -> None:
        await served.learn(FIRST)
        served.server.engine.note_lag(100.0)
        wanted = await served.wanted(FIRST)
        assert (wanted[0], wanted[2]["code"]) == (429, "overloaded")
        assert comparable(await answer_of(served.ask(FIRST))) == wanted
        for _ in range(20):
            served.server.engine.note_lag(0.0)
        assert (await answer_of(served.ask(FIRST))).status == 200

    asyncio.run(scenario())


def test_a_server_that_stops_tells_those_it_keeps_no_longer(served: Served) -> None:
    """As uvicorn does when the time to shut down is over, with what it takes for tasks."""

    async def scenario() -> None:
        await served.learn(FIRST)
        clients = [await served.hold(FIRST), served.ask(SECOND)]
        assert len(served.server.state.tasks) == 2
        for task in served.server.state.tasks:
            task.cancel()
        for client in clients:
            answer = await answer_of(client)
            assert (answer.status, json.loads(answer.body)["code"]) == (503, "draining")
        served.model.gate.set()

    asyncio.run(scenario())


def test_a_stop_waits_for_what_is_under_way_and_then_closes(served: Served) -> None:
    async def scenario() -> None:
        await served.learn(FIRST)
        client = await served.hold(FIRST)
        client.lane.shutdown()
        assert not client.transport.is_closed
        served.model.gate.set()
        answer = await answer_of(client)
        assert answer.status == 200
        assert answer.header(b"connection") == b"close"
        assert client.transport.is_closed

    asyncio.run(scenario())
