"""What is new in every head and every id is no matter, and each request gets its own ids back."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httptools
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.http.asking import as_binary, as_json, plain
from tests.http.echo import EchoModel, echo_manifest
from tests.http.heads import Parsed, lines
from tests.http.inside import Inside, inside
from tests.http.raw import comparable

SHAPE = [1, 2, 2]
BODY = json.dumps(plain(SHAPE)).encode()
TARGETS = [b"/v2/models/echo/infer", b"/v2/models/%65cho/infer"]  # the second goes through ASGI
JSON = ("Content-Type", "application/json")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    with inside(tmp_path_factory.mktemp("none"), EchoModel(echo_manifest("cells"))) as server:
        yield server


async def learn(server: Inside, whole: bytes) -> None:
    """Have the words of a request known."""
    for _ in range(2):
        assert (await server.connect().ask(whole)).status == 200


def numbered(make: Any, number: int, **more: Any) -> bytes:
    """A request by way of a gateway that marks each one, of a client that numbers them."""
    headers = [
        JSON,
        ("X-Request-ID", f"gateway-{number}"),
        ("traceparent", f"00-{uuid.UUID(int=number).hex}-{number:016x}-01"),
        ("X-Forwarded-For", f"10.0.{number // 256}.{number % 256}"),
        ("Cookie", f"session={number * 7_919}"),
    ]
    document = plain(SHAPE, [number, 1, 2, 3], **more)
    whole: bytes = make({"id": f"body {number:05}", **document}, *headers)
    return whole


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        (as_json, {}),
        (as_binary, {"binary_data_output": True}),
        pytest.param(as_json, {"binary_data_output": True}, marks=pytest.mark.deep),
        pytest.param(as_binary, {}, marks=pytest.mark.deep),
    ],
)
def test_ten_thousand_that_differ_in_ids_are_all_known(
    server: Inside, make: Any, parameters: dict[str, Any]
) -> None:
    async def scenario() -> None:
        await learn(server, numbered(make, 0, parameters=parameters))
        before = server.num_fast
        client = server.connect()
        for number in range(10_000):
            answer = await client.ask(numbered(make, number, parameters=parameters))
            assert answer.header(b"x-request-id") == b"gateway-%d" % number
            length = int(answer.header(b"inference-header-content-length") or len(answer.body))
            assert json.loads(answer.body[:length])["id"] == f"body {number:05}"
        assert server.num_fast == before + 10_000

    asyncio.run(scenario())


def test_what_is_new_in_a_head_does_not_push_out_what_is_known(server: Inside) -> None:
    other = as_json(plain(SHAPE), JSON, ("Connection", "close"))

    async def scenario() -> None:
        await learn(server, other)
        for number in range(5_000):  # of no known model, so that none is ever taken
            whole = numbered(as_json, number).replace(b"models/echo/", b"models/none/")
            assert (await server.connect().ask(whole)).status == 404
        before = server.num_fast
        assert (await server.connect().ask(other)).status == 200
        assert server.num_fast == before + 1

    asyncio.run(scenario())


@pytest.mark.parametrize("id_", ["", " ", "a/b{}[]:,", "~" * 400, None])
@pytest.mark.parametrize("is_last", [False, True])
def test_any_plain_id_is_known_where_another_was(
    server: Inside, id_: str | None, is_last: bool
) -> None:
    first, second = (
        as_json({**plain(SHAPE), "id": said} if is_last else {"id": said, **plain(SHAPE)})
        for said in ("first", id_)
    )

    async def scenario() -> None:
        server.fast_path.forget()
        wanted = comparable(await server.connect(fast=False).ask(second))
        await learn(server, first)
        before = server.num_fast
        answer = await server.connect().ask(second)
        assert comparable(answer) == wanted
        assert json.loads(answer.body).get("id") == id_
        assert server.num_fast == before + (id_ is not None)

    asyncio.run(scenario())


@pytest.mark.parametrize("odd", [False, True], ids=["plain", "odd"])
def test_any_head_is_answered_as_the_ordinary_way_does(server: Inside, odd: bool) -> None:
    async def scenario(said: bytes) -> None:
        lane, ordinary = (b"POST %b HTTP/1.1\r\n" % target + said + BODY for target in TARGETS)
        wanted = comparable(await server.connect().ask(ordinary))
        for fast in (False, True, True, True):
            assert comparable(await server.connect(fast=fast).ask(lane)) == wanted

    @settings(max_examples=300, deadline=None)
    @given(lines(len(BODY), odd))
    def check(said: bytes) -> None:
        asyncio.run(scenario(said))

    before = server.num_fast
    check()
    assert odd or server.num_fast > before + 100, "hardly anything was known"


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([numbered(as_json, 1), numbered(as_binary, 2)]), st.data())
def test_a_known_request_damaged_anywhere_is_answered_as_one_that_nobody_knows(
    server: Inside, known: bytes, data: st.DataObject
) -> None:
    at, byte = data.draw(st.integers(0, len(known) - 1)), data.draw(st.integers(0, 255))
    damaged = known[:at] + bytes([byte]) + known[at + 1 :]
    parsed = Parsed()
    with suppress(httptools.HttpParserError):
        parsed.parser.feed_data(damaged)
        assume(parsed.is_complete)  # else more is waited for

    async def scenario() -> None:
        await learn(server, known)
        wanted = comparable(await server.connect(fast=False).ask(damaged))
        assert comparable(await server.connect().ask(damaged)) == wanted

    asyncio.run(scenario())
