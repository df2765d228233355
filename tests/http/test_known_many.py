"""Known requests by the hundred, on real threads: each its own answer, and nothing stays."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import native
from service.lane.turn import FastTurn, Turn
from tests.http.asking import as_binary, as_json, plain
from tests.http.echo import FAILS, NOT_FINITE, EchoModel, Kind, echo_manifest
from tests.http.inside import Inside, inside
from tests.http.raw import comparable

SHAPE = [2, 5, 2]

Fate = Literal["wait", "leave", "late", "fail"]


class Request(NamedTuple):
    """What a client asks, and how that ends."""

    number: float
    fate: Fate
    patience: int  # turns of the event loop before it leaves
    in_bytes: bool

    def whole(self) -> bytes:
        """As it is sent; numbers differ, words do not but for those of a deadline."""
        data = [self.number] * 19 + [1.0]
        if self.fate == "fail":
            data[18] = FAILS
        more = {"parameters": {"timeout": 2_000}} if self.fate == "late" else {}
        return (as_binary if self.in_bytes else as_json)(plain(SHAPE, data, [3, 5], **more))


requests = st.builds(
    Request,
    st.floats(-9, 9, width=32),
    st.sampled_from(["wait", "wait", "leave", "late", "fail"]),
    st.integers(0, 12),
    st.booleans(),
)
FATES: tuple[Fate, ...] = ("wait", "late")
WORDS = [Request(1.0, fate, 0, in_bytes) for fate in FATES for in_bytes in (True, False)]


@pytest.fixture(params=["cells", "sequences"])
def server(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Inside]:
    kind: Kind = request.param
    model = EchoModel(echo_manifest(kind))
    with inside(tmp_path, model, num_threads=3, max_batch_size=3) as server:
        yield server


async def learn(server: Inside) -> None:
    """Have all words known; what asks for too little time teaches nothing in time, at first."""
    client = server.connect()
    for request in WORDS:
        before = server.num_fast
        while server.num_fast == before:
            await client.ask(request.whole())


async def play(server: Inside, request: Request, wanted: Any) -> str:
    """Play one client; how its request ended. An answer must be the wanted one."""
    before = server.num_fast
    client = server.connect()
    client.send(request.whole())
    assert server.num_fast == before + 1
    if request.fate == "leave":
        for _ in range(request.patience):
            await asyncio.sleep(0)
        if not client.answers:
            client.leave()
            return "cancelled"
    answer = (await client.wait(1))[0]
    assert answer.status != 200 or comparable(answer) == wanted
    return {200: "ok", 429: "overloaded", 500: "inference_failed", 504: "timeout"}[answer.status]


ENDS: dict[Fate, set[str]] = {
    "wait": {"ok"},
    "leave": {"ok", "cancelled"},
    "late": {"ok", "timeout", "overloaded"},
    "fail": {"inference_failed"},
}


def test_any_fates_at_once(server: Inside) -> None:
    async def scenario(asked: list[Request]) -> None:
        await learn(server)
        patient = [request._replace(fate="wait").whole() for request in asked]
        wanted = [comparable(await server.connect(fast=False).ask(whole)) for whole in patient]
        before = server.sum_of("seqserve_requests_total")
        clients = zip(asked, wanted, strict=True)
        ended = await asyncio.gather(*(play(server, *client) for client in clients))
        for request, end in zip(asked, ended, strict=True):
            assert end in ENDS[request.fate]
        assert server.sum_of("seqserve_requests_total") == before + len(asked), "each once"
        await server.until_idle()
        server.check_idle()

    @settings(max_examples=150, deadline=None)
    @given(st.lists(requests, min_size=1, max_size=25))
    def check(asked: list[Request]) -> None:
        asyncio.run(scenario(asked))

    check()


def test_nothing_is_left_of_what_is_answered(server: Inside) -> None:
    """Not even until Python's collector comes: the numbers of thousands would lie about."""

    async def scenario() -> None:
        await learn(server)
        client = server.connect()
        gc.collect()
        gc.disable()
        try:
            for number in (2.0, FAILS, NOT_FINITE, 3.0):
                before = server.num_fast
                await client.ask(as_json(plain(SHAPE, [number] * 20, [3, 5])))
                assert server.num_fast == before + 1
            await asyncio.sleep(0)
            left = [type(each) for each in gc.get_objects()]
            assert left.count(FastTurn) + left.count(Turn) <= 1, "the connection's last"
            assert left.count(native.Job) <= 1
        finally:
            gc.enable()

    asyncio.run(scenario())
