"""Known requests on the wire: in any pieces, behind and before any others, on any connection."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.http import raw
from tests.http.asking import as_binary, as_json, path_of, plain
from tests.http.echo import KINDS, EchoModel, Kind, echo_manifest
from tests.http.inside import Inside, inside
from tests.http.raw import comparable

JSON = ("Content-Type", "application/json")
IN_JSON = as_json(plain([2, 2, 2], [1, -2.5, 3e-2, 4, 5, 6, 7, 8], [1, 2]))
IN_BYTES = as_binary(plain([1, 3, 2], [1, -2.5, 3e-2, 4, 5, 6], [2]), lengths=False)
CLOSES = as_json(plain([1, 1, 2]), ("Connection", "close"))
PROXY_CLOSES = as_json(plain([1, 1, 2]), ("proxy-connection", "close"))
KNOWN = [IN_JSON, IN_BYTES, as_json(plain([1, 1, 2], id="x")), as_binary(plain([1, 1, 2]))]
OTHERS = [
    as_json(plain([1, 1, 2], [1, 1e39])),  # known words
    as_json(plain([1, 1, 2], [[[1, 2]]])),
    as_json({}),
    as_json(plain([1, 1, 2]), path="nobody"),
    as_json(plain([1, 1, 2]), path="%65cho"),
    as_json({"sequences": [[[1, 2]]]}, JSON, path="/v1/models/echo/predict"),
    raw.request(path_of("echo"), b'{"inputs": []}', chunks=[5]),
    raw.request("/v2/health/live", method="GET"),
]  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Inside]:
    kind: Kind = request.param
    with inside(tmp_path_factory.mktemp("none"), EchoModel(echo_manifest(kind))) as server:
        yield server


async def learn(server: Inside, *wholes: bytes) -> list[Any]:
    """Have these known; their answers by a connection that knows nothing."""
    for whole in (*wholes, *wholes):
        assert (await server.connect().ask(whole)).status == 200
    return [comparable(await server.connect(fast=False).ask(whole)) for whole in wholes]


@pytest.mark.parametrize("whole", [IN_JSON, IN_BYTES], ids=["json", "bytes"])
def test_cut_in_two_anywhere(server: Inside, whole: bytes) -> None:
    head_bytes = whole.index(b"\r\n\r\n") + 4

    async def scenario() -> None:
        (wanted,) = await learn(server, whole)
        client = server.connect()
        for cut in range(1, len(whole)):
            before = server.num_fast
            answer = await client.ask(whole[:cut], whole[cut:])
            assert comparable(answer) == wanted
            # uvicorn's parser has begun with a head that does not come at once
            assert server.num_fast == before + (cut >= head_bytes)

    asyncio.run(scenario())


@pytest.mark.parametrize("whole", [IN_JSON, IN_BYTES], ids=["json", "bytes"])
@pytest.mark.parametrize("size", [1, 2, 7])
def test_the_smallest_pieces(server: Inside, whole: bytes, size: int) -> None:
    head_bytes = whole.index(b"\r\n\r\n") + 4

    async def scenario() -> None:
        (wanted,) = await learn(server, whole)
        client = server.connect()
        for start in (0, head_bytes):  # the head in pieces too, or at once
            before = server.num_fast
            places = range(start, len(whole), size)
            pieces = [whole[place : place + size] for place in places]
            answer = await client.ask(*([whole[:start]] if start else []), *pieces)
            assert comparable(answer) == wanted
            assert server.num_fast == before + (start > 0)

    asyncio.run(scenario())


def test_pipelined_with_any_others_and_cut_anywhere(server: Inside) -> None:
    async def scenario(wholes: list[bytes], cuts: list[float]) -> None:
        wanted = [comparable(await server.connect(fast=False).ask(whole)) for whole in wholes]
        stream = b"".join(wholes)
        places = sorted({0, len(stream), *(int(cut * len(stream)) for cut in cuts)})
        client = server.connect()
        for start, stop in pairwise(places):
            client.send(stream[start:stop])
            await asyncio.sleep(0)
        answers = await client.wait(len(wholes))
        assert list(map(comparable, answers)) == wanted

    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(st.sampled_from([*KNOWN * 2, *OTHERS]), min_size=1, max_size=12),
        st.lists(st.floats(0, 1), max_size=8),
    )
    def check(wholes: list[bytes], cuts: list[float]) -> None:
        asyncio.run(scenario(wholes, cuts))

    asyncio.run(learn(server, *KNOWN))
    before = server.num_fast
    check()
    assert server.num_fast > before + 20, "hardly anything was known"


def test_many_at_once_are_answered_in_order(server: Inside) -> None:
    wholes = [as_json(plain([1, 1, 2], [number, 0.5])) for number in range(300)]

    async def scenario() -> None:
        await learn(server, wholes[0])
        wanted = [comparable(await server.connect(fast=False).ask(whole)) for whole in wholes]
        before = server.num_fast
        client = server.connect()
        client.send(b"".join(wholes))
        assert [comparable(answer) for answer in await client.wait(len(wholes))] == wanted
        assert server.num_fast == before + len(wholes)

    asyncio.run(scenario())


def test_many_connections_at_once_get_their_own_answers(server: Inside) -> None:
    wholes = [as_json(plain([2, 1, 2], [number, 1, 2, number])) for number in range(100)]

    async def scenario() -> None:
        await learn(server, wholes[0])
        wanted = [comparable(await server.connect(fast=False).ask(whole)) for whole in wholes]
        before = server.num_fast
        answers = await asyncio.gather(*(server.connect().ask(whole) for whole in wholes))
        assert list(map(comparable, answers)) == wanted
        assert server.num_fast == before + len(wholes)

    asyncio.run(scenario())


@pytest.mark.parametrize("whole", [CLOSES, PROXY_CLOSES])
def test_what_comes_behind_the_last_request_is_not_answered(server: Inside, whole: bytes) -> None:
    async def scenario() -> None:
        (wanted,) = await learn(server, whole)
        before = server.num_fast
        client = server.connect()
        client.send(whole + IN_JSON)
        answers = await client.wait(2)
        assert [comparable(answer) for answer in answers] == [wanted]
        assert answers[0].header(b"connection") == b"close"
        assert client.transport.is_closed
        assert server.num_fast == before + 1

    asyncio.run(scenario())


def test_a_client_that_leaves_in_its_body_is_counted_once(server: Inside) -> None:
    async def scenario() -> None:
        await learn(server, IN_BYTES)
        cancelled, answered = server.outcomes("cancelled"), server.outcomes("ok")
        client = server.connect()
        client.send(IN_BYTES[:-9])
        client.send(IN_BYTES[-9:-1])
        client.leave()
        assert server.outcomes("cancelled") == cancelled + 1
        assert server.outcomes("ok") == answered

    asyncio.run(scenario())


def test_who_does_not_read_answers_is_not_asked_for_more(server: Inside) -> None:
    async def scenario() -> None:
        (wanted,) = await learn(server, IN_JSON)
        before = server.num_fast
        client = server.connect()
        client.lane.pause_writing()
        client.send(IN_JSON * 3)
        assert server.num_fast == before
        client.lane.resume_writing()
        assert list(map(comparable, await client.wait(3))) == [wanted] * 3
        assert server.num_fast == before + 3

    asyncio.run(scenario())


def test_known_requests_are_counted_as_all_are(server: Inside) -> None:
    async def scenario() -> None:
        await learn(server, IN_JSON)
        samples = server.samples()
        before = server.num_fast
        for cut in (len(IN_JSON), len(IN_JSON) - 5):
            await server.connect().ask(IN_JSON[:cut], IN_JSON[cut:])
        assert server.num_fast == before + 2
        fast = difference(samples, server.samples())
        samples = server.samples()
        for _ in range(2):
            await server.connect(fast=False).ask(IN_JSON)
        assert fast == difference(samples, server.samples())
        assert any(name == "seqserve_requests_total" for name, _ in fast)

    asyncio.run(scenario())


def difference(before: dict[Any, float], after: dict[Any, float]) -> dict[Any, float]:
    """What was counted between, but for times."""
    return {
        key: value - before.get(key, 0.0)
        for key, value in after.items()
        if re.fullmatch("seqserve_(?!.*compute).*_(total|count)", key[0])
        if value != before.get(key, 0.0)
    }
