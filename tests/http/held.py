"""A server inside the test whose runs a gate holds, and requests that it knows by heart."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.http.asking import as_json, plain
from tests.http.echo import EchoModel
from tests.http.inside import Client, Inside
from tests.http.raw import RawAnswer, comparable


class Served:
    """A server of one model whose runs a gate holds, and requests that it knows by heart."""

    def __init__(self, server: Inside, model: EchoModel) -> None:
        self.server = server
        self.model = model

    async def learn(self, *wholes: bytes) -> None:
        """Have these words known."""
        client = self.server.connect()
        for whole in (*wholes, *wholes):
            assert (await client.ask(whole)).status == 200
        before = self.server.num_fast
        for whole in wholes:
            assert (await client.ask(whole)).status == 200
        assert self.server.num_fast == before + len(wholes)

    async def hold(self, whole: bytes) -> Client:
        """Ask, and hold the engine's only thread in the run of it."""
        while self.model.has_entered():
            pass
        self.model.gate.clear()
        client = self.ask(whole)
        await asyncio.to_thread(self.model.wait_entered)
        return client

    def ask(self, whole: bytes) -> Client:
        """Ask something that is known, and wait for no answer."""
        before = self.server.num_fast
        client = self.server.connect()
        client.send(whole)
        assert self.server.num_fast == before + 1
        return client

    async def wanted(self, whole: bytes) -> Any:
        """The answer where nothing is known by heart."""
        return comparable(await self.server.connect(fast=False).ask(whole))


def of(*numbers: float) -> bytes:
    """A request with one sequence of two features."""
    return as_json(plain([1, len(numbers) // 2, 2], list(numbers)))


async def answer_of(client: Client) -> RawAnswer:
    """The first one."""
    return (await client.wait(1))[0]
