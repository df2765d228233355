"""Requests whose words are known are answered just as those that nobody has seen before."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.http import raw
from tests.http.asking import as_binary, as_json, asked, plain
from tests.http.echo import KINDS, EchoModel, Kind, echo_manifest
from tests.http.inside import Inside, inside
from tests.http.raw import RawAnswer, comparable

NUM_UNTIL_KNOWN = 2
"""Times that words must have come, at most, to be known the next time."""


@pytest.fixture(scope="module", params=KINDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Inside]:
    """Two models alike, one of them in two precisions."""
    kind: Kind = request.param
    models = [
        EchoModel(echo_manifest(kind), b"one"),
        EchoModel(echo_manifest(kind), b"one in bytes"),
        EchoModel(echo_manifest(kind, "other"), b"other"),
    ]
    with inside(tmp_path_factory.mktemp("none"), *models) as server:
        yield server


@pytest.fixture(autouse=True)
def _ignorant(server: Inside) -> None:
    server.fast_path.forget()


async def ask(server: Inside, whole: bytes, *, fast: bool) -> RawAnswer:
    """The answer on a connection of its own."""
    client = server.connect(fast=fast)
    answer = await client.ask(whole)
    client.leave()
    return answer


async def ask_until_known(server: Inside, whole: bytes) -> None:
    """Have the words of a request known, whatever its numbers; it must be answered well."""
    for _ in range(NUM_UNTIL_KNOWN):
        assert (await ask(server, whole, fast=True)).status == 200


def test_whatever_is_asked_again_and_again(server: Inside) -> None:
    async def scenario(wholes: list[bytes]) -> None:
        wanted = [comparable(await ask(server, whole, fast=False)) for whole in wholes]
        client = server.connect()
        for _ in range(4):
            for whole, expected in zip(wholes, wanted, strict=True):
                assert comparable(await client.ask(whole)) == expected, whole

    @settings(max_examples=250, deadline=None)
    @given(st.lists(asked(), min_size=1, max_size=4))
    def check(wanted: list[list[bytes]]) -> None:
        server.fast_path.forget()
        asyncio.run(scenario([whole for same in wanted for whole in same]))

    before = server.num_fast
    check()
    assert server.num_fast > before + 100, "hardly anything was known"


SHAPE, NUMBERS = [1, 3, 2], [[1, -2.5, 3e2, 0, 5, 6], [7.25, 8, -9, 1e-3, 0.1, -0.0]]
PADDED, PADDED_NUMBERS = [2, 3, 2], [[*NUMBERS[0], *NUMBERS[1]], [*NUMBERS[1], *NUMBERS[0]]]
JSON = ("Content-Type", "application/json")
OCTETS = ("Content-Type", "application/octet-stream")
MINE = ("X-Request-ID", "mine")


def both(make: Any, *headers: tuple[str, str], **options: Any) -> list[bytes]:
    """A request, and another that says the same of other numbers."""
    more = options.pop("more", {})
    return [make(plain(SHAPE, numbers, **more), *headers, **options) for numbers in NUMBERS]


def of_two(
    make: Any, first: list[int], second: list[int] | None = None, **options: Any
) -> list[bytes]:
    """A request of two rows, and another of other numbers and, if so, other lengths."""
    more = options.pop("more", {})
    return [
        make(plain(PADDED, numbers, counts, **more), **options)
        for numbers, counts in zip(PADDED_NUMBERS, (first, second or first), strict=True)
    ]


BINARY_LOGITS = [{"name": "logits", "parameters": {"binary_data": True}}]
KNOWN = {
    "json": both(as_json),
    "compact json": both(as_json, spaces=False),
    "version": both(as_json, path="echo/versions/1"),
    "query": both(as_json, path="/v2/models/echo/infer?x=1"),
    "other model": both(as_json, path="other"),
    "id": both(as_json, more={"id": "]"}),
    "empty id": both(as_json, more={"id": ""}),
    "no id": both(as_binary, more={"id": None}),
    "binary id": both(as_binary, more={"id": "{}"}),
    "id, binary answer": both(
        as_json, more={"id": "a", "parameters": {"binary_data_output": True}}
    ),
    "both ways": both(as_binary, more={"id": "a", "outputs": [{"name": "logits"}, *BINARY_LOGITS]}),
    "int8": both(as_json, more={"parameters": {"precision": "int8"}}),
    "first": both(as_json, more={"parameters": {"priority": 1}}),
    "last": both(as_binary, more={"parameters": {"priority": 3, "timeout": 9_000_000}}),
    "timeout": both(as_json, more={"parameters": {"timeout": 9_000_000}}),
    "binary answer": both(as_json, more={"parameters": {"binary_data_output": True}}),
    "binary logits": both(as_binary, more={"outputs": BINARY_LOGITS}),
    "logits twice": both(as_json, more={"outputs": [{"name": "logits"}] * 2}),
    "binary": both(as_binary),
    "octets": both(as_binary, OCTETS),
    "own id": both(as_json, MINE),
    "close": both(as_json, ("Connection", "close")),
    "rows": of_two(as_json, [3, 3]),
    "lengths": of_two(as_json, [1, 3]),
    "binary lengths": of_two(as_binary, [1, 3], [3, 2]),
    "binary but lengths": of_two(as_binary, [2, 1], lengths=False),
}


@pytest.mark.parametrize("name", KNOWN)
def test_other_numbers_are_known(server: Inside, name: str) -> None:
    first, second = KNOWN[name]
    varies = server.has_weights and name == "binary lengths"  # so does the shape of the weights

    async def scenario() -> None:
        wanted = [comparable(await ask(server, whole, fast=False)) for whole in (first, second)]
        assert wanted[0] != wanted[1]
        await ask_until_known(server, first)
        before = server.num_fast
        for place in (1, 0, 1):
            answer = await ask(server, (first, second)[place], fast=True)
            assert comparable(answer) == wanted[place]
        assert server.num_fast == before + (0 if varies else 3)

    asyncio.run(scenario())


def spelled(document: dict[str, Any], was: str, now: str) -> bytes:
    """A request whose document says something in other words."""
    return raw.request("/v2/models/echo/infer", json.dumps(document).replace(was, now).encode())


NESTED = plain(SHAPE, [[[1, 2], [3, 4], [5, 6]]])
NEVER_KNOWN = {
    "nested": as_json(NESTED),
    "many words": as_json(plain(SHAPE, id="x" * 1_100)),
    "words behind": as_json({**plain(SHAPE), "id": "x" * 1_100}),
    "many binary words": as_binary(plain(SHAPE, id="x" * 1_100)),
    "lengths first": as_json({"inputs": plain(SHAPE, None, [3])["inputs"][::-1]}),
    "other data first": as_json({"x": {"data": [1]}, **plain(SHAPE)}),
    "task level": as_json({"sequences": [[[1, 2]]]}, JSON, path="/v1/models/echo/predict"),
    "bad id": as_json(plain(SHAPE), ("X-Request-ID", "m i n e")),
    "old": as_json(plain(SHAPE), http="1.0"),
    "old, kept": as_json(plain(SHAPE), ("Connection", "keep-alive"), http="1.0"),
    "escaped id": as_json(plain(SHAPE, id='"')),
    "id not of ASCII": raw.request(
        "/v2/models/echo/infer", json.dumps(plain(SHAPE, id="é"), ensure_ascii=False).encode()
    ),
    "other id first": as_json({"x": {"id": "y"}, **plain(SHAPE, id="z")}),
    "other id alone": as_json(plain(SHAPE, parameters={"id": "y"})),
    "id spelled otherwise": spelled({"id": "z", **plain(SHAPE)}, '"id"', r'"\u0069d"'),
    "id twice": spelled({"id": "y", "ix": "z", **plain(SHAPE)}, "ix", "id"),
    "ordinary": as_json(plain(SHAPE), path="%65cho"),
    "chunked": raw.request(
        "/v2/models/echo/infer", json.dumps(plain(SHAPE)).encode(), chunks=[9, 99]
    ),
}


@pytest.mark.parametrize("name", NEVER_KNOWN)
def test_what_is_not_plain_is_read_every_time(server: Inside, name: str) -> None:
    async def scenario() -> None:
        before = server.num_fast
        wanted = comparable(await ask(server, NEVER_KNOWN[name], fast=False))
        assert wanted[0] == 200
        for _ in range(4):
            assert comparable(await ask(server, NEVER_KNOWN[name], fast=True)) == wanted
        assert server.num_fast == before

    asyncio.run(scenario())


def spoiled(good: bytes, was: bytes, now: bytes) -> bytes:
    """The same request with something else in its body, just as long if it can be."""
    head, _, body = good.partition(b"\r\n\r\n")
    assert body.count(was) == 1
    body = body.replace(was, now)
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])


TEXT, BLOB, LENGTHS = KNOWN["json"][0], KNOWN["binary"][0], KNOWN["binary lengths"][0]
NUMBER = np.float32(-2.5).tobytes()
LAST_LENGTH = np.int64(3).tobytes()
REFUSED = [
    *((TEXT, b"-2.5", now) for now in (
        b"NaN", b"Infinity", b"-Infinity", b"1e39", b"-1e400", b"null", b'"1"', b"true", b"[1]",
        b"01", b"+1", b"1.", b".5", b"1 2", b"1,2", b"", b"{}", b"nan", b"1e", b"\xff", b"]",
    )),
    *((BLOB, NUMBER, np.float32(now).tobytes()) for now in (np.nan, np.inf, -np.inf)),
    (BLOB, NUMBER, b""),
    (BLOB, NUMBER, NUMBER[:3]),
    (BLOB, NUMBER, NUMBER * 2),
    *((LENGTHS, LAST_LENGTH, np.int64(now).tobytes()) for now in (0, 4, -1, 1 << 40, -(1 << 63))),
    (LENGTHS, LAST_LENGTH, LAST_LENGTH[:7]),
]  # fmt: skip


@pytest.mark.parametrize(("good", "was", "now"), REFUSED)
def test_known_words_with_bad_numbers(server: Inside, good: bytes, was: bytes, now: bytes) -> None:
    async def scenario() -> None:
        bad = spoiled(good, was, now)
        refusal = comparable(await ask(server, bad, fast=False))
        assert refusal[0] in (400, 422)
        await ask_until_known(server, good)
        before = server.num_fast
        for _ in range(NUM_UNTIL_KNOWN + 1):
            assert comparable(await ask(server, bad, fast=True)) == refusal
        assert server.num_fast == before
        assert (await ask(server, good, fast=True)).status == 200

    asyncio.run(scenario())


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_what_lies_in_the_padding_does_not_matter(server: Inside, value: float) -> None:
    numbers = [*NUMBERS[0], 1, 2, value, value, value, value]
    good, padded = (as_binary(plain(PADDED, n, [3, 1])) for n in (PADDED_NUMBERS[0], numbers))

    async def scenario() -> None:
        wanted = comparable(await ask(server, padded, fast=False))
        assert wanted[0] == 200
        await ask_until_known(server, good)
        assert comparable(await ask(server, padded, fast=True)) == wanted

    asyncio.run(scenario())


def test_every_request_has_an_id_of_its_own(server: Inside) -> None:
    async def scenario() -> None:
        await ask_until_known(server, TEXT)
        answers = [await ask(server, TEXT, fast=True) for _ in range(50)]
        ids = {answer.header(b"x-request-id") for answer in answers}
        assert len(ids) == len(answers)
        assert all(re.fullmatch(b"[0-9a-f]{32}", id_) for id_ in ids)
        await ask_until_known(server, KNOWN["own id"][0])
        answer = await ask(server, KNOWN["own id"][1], fast=True)
        assert answer.header(b"x-request-id") == b"mine"

    asyncio.run(scenario())


def test_what_was_known_of_other_models_is_known_no_more(server: Inside) -> None:
    async def scenario() -> None:
        await ask_until_known(server, TEXT)
        before = server.num_fast
        await ask(server, TEXT, fast=True)
        assert server.num_fast == before + 1
        server.fast_path.forget()
        await ask(server, TEXT, fast=True)
        assert server.num_fast == before + 1

    asyncio.run(scenario())
