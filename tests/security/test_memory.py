"""A server that is filled to its bounds holds no more than it said it could."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from service.security.budget import memory_bounds
from service.settings import Settings
from tests.fakes import TIMEOUT_S
from tests.faults.limited import cgroup, limited, peak_bytes
from tests.grpc.asking import GrpcServer, message, padded
from tests.http.payloads import frames, infer_body, infer_path, predict_body, predict_path
from tests.http.raw import connect, exchange, request
from tests.servers import REPOSITORY, Server, serving, wait_until

MIB = 1 << 20
LIMITS: dict[str, Any] = {
    "max_body_bytes": 4 * MIB,
    "max_bodies_bytes": 16 * MIB,
    "max_connections": 64,
    "max_upload_bytes": 0,
    "grpc_port": 0,
    "max_rpcs": 4,
}
PARTS = 60
LIMIT_BYTES = 512 * MIB
NATURAL = 48 * MIB
"""What a server takes besides, when it first does what it did not before: threads, arenas."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(**LIMITS, forked=False) as server:
        warm = infer_body(*[frames(40)] * 64)
        for _ in range(3):
            assert server.client.post(infer_path(), json=warm).status_code == 200
        yield server


def memory(server: Server, which: str) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(rf"{which}:\s+(\d+) kB", status)
    assert found
    return int(found[1]) << 10


def forget_peak(server: Server) -> int:
    """Measure from now on; what it has now."""
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    return memory(server, "VmRSS")


def ask_all(server: Server, wholes: list[bytes]) -> Counter[int]:
    with ThreadPoolExecutor(len(wholes)) as pool:
        answers = pool.map(lambda whole: exchange(server, [whole], 1), wholes)
        return Counter(answer.status for found in answers for answer in found)


def hostile(max_body_bytes: int) -> Iterator[list[bytes]]:
    """Requests of that size at most, which come together."""
    room = max_body_bytes - 64
    lists = b'{"sequences": [[' + b"[]," * (room // 3 - 8) + b"[]]]}"
    numbers = b'{"sequences": [[[' + b"1," * (room // 2 - 12) + b"1]]]}"
    words = b'{"texts": ["' + b"a " * (room // 2 - 12) + b'"]}'
    deep = json.dumps(infer_body(*[frames(200)] * 20)).encode()[:room]
    coded = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")]
    yield [request(predict_path(), body) for body in (lists, numbers)]
    yield [request(predict_path(), gzip.compress(body), coded) for body in (lists, numbers)]
    yield [request(infer_path(), deep)]
    yield [request("/v1/timeseries/forecast", lists), request("/v2/repository/index", lists)]
    yield [request(f"/v1/models/{name}/predict", words) for name in ("pos-birnn", "dates-gru")]


def test_parts_of_bodies_share_one_room(server: Server) -> None:
    before = forget_peak(server)
    body = json.dumps(predict_body(frames(3))).encode()
    fine = request(predict_path(), body)
    beginning = request(predict_path(), b" " * 3 * MIB)[:-MIB]
    lock, refused = threading.Lock(), 0
    with contextlib.ExitStack() as stack:

        def begin(_: int) -> None:
            nonlocal refused
            connection = connect(server)
            with lock:
                stack.callback(connection.close)
            connection.sendall(beginning)
            connection.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                assert connection.recv(1 << 16).startswith(b"HTTP/1.1 429")
                with lock:
                    refused += 1

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(begin, range(PARTS)))
        assert refused >= PARTS - 8, "2 MiB each: eight fill it"
        (answer,) = exchange(server, [fine + b""], 1)
        assert answer.status in (200, 429)
        (answer,) = exchange(server, [request("/v2/health/ready", method="GET")], 1)
        assert answer.status == 200
        grown = memory(server, "VmHWM") - before
    allowed = LIMITS["max_bodies_bytes"] + PARTS * MIB // 4 + NATURAL
    assert grown < allowed, f"{grown >> 20} MiB more, {allowed >> 20} allowed"
    # who has left holds nothing any more
    wait_until(lambda: exchange(server, [fine], 1)[0].status == 200)


def test_the_worst_that_a_body_can_be_fits_what_was_said(server: Server) -> None:
    said = server.wait_for_event("memory bounded")
    settings = Settings(**LIMITS)
    assert said["total"] == memory_bounds(settings).total
    before = forget_peak(server)
    for kinds in hostile(LIMITS["max_body_bytes"]):
        statuses = ask_all(server, kinds * 12)
        assert statuses.keys() <= {200, 400, 404, 413, 422, 429}, statuses
    grown = memory(server, "VmHWM") - before
    allowed = said["total"] + NATURAL
    assert grown < allowed, f"{grown >> 20} MiB more, {allowed >> 20} allowed"
    assert server.client.post(infer_path(), json=infer_body(frames(3))).status_code == 200
    print(f"{grown >> 20} MiB of {allowed >> 20}")  # noqa: T201


def test_a_small_container_is_not_ended_by_hostile_bodies() -> None:
    """A cgroup of 512 MiB, all bundled models, no bound set: as `docker run -m 512m`."""
    with cgroup(LIMIT_BYTES) as group:
        if group is None:
            pytest.skip("needs a cgroup that one may write to")
        with (
            limited(f"echo $$ > {group}/cgroup.procs") as python,
            serving(REPOSITORY, python=python, host="0.0.0.0") as server,
        ):
            smaller = server.wait_for_event("memory bounded", limit=LIMIT_BYTES)["smaller"]
            for kinds in hostile(smaller["max_body_bytes"]):
                for _ in range(3):
                    statuses = ask_all(server, kinds * 12)
                    assert statuses.keys() <= {200, 400, 404, 413, 422, 429}, statuses
                assert server.client.post(infer_path(), json=infer_body(frames(3))).is_success
            grown = peak_bytes(group)
            print(f"{(grown or 0) >> 20} MiB of {LIMIT_BYTES >> 20}")  # noqa: T201


def kept_bytes(server: Server, refuse: Callable[[], object]) -> int:
    """What a server has more after twelve refusals, once it is used to them."""
    for _ in range(4):
        refuse()
    before = memory(server, "VmRSS")
    for _ in range(12):
        refuse()
    return memory(server, "VmRSS") - before


def test_what_http_refused_is_not_kept(server: Server) -> None:
    """A long body is read in a thread, whose future keeps the error that refuses it."""
    too_long = [[0] * 40] * 35_000
    body = json.dumps({"sequences": [too_long]}, separators=(",", ":")).encode()

    def refuse() -> None:
        (answer,) = exchange(server, [request(predict_path(), body)], 1)
        assert answer.status == 422

    assert kept_bytes(server, refuse) < 16 * MIB


def test_what_grpc_refused_is_not_kept(server: Server) -> None:
    """An RPC's context keeps what it was aborted by, with the frames that this passed through."""
    asked = GrpcServer(server)
    too_long = message("digits-lstm", padded(np.zeros((24_000, 40), np.float32)))

    def refuse() -> None:
        with pytest.raises(grpc.RpcError, match="at most"):
            asked.infer(too_long)

    def refuse_on_stream() -> None:
        (answer,) = asked.stub.ModelStreamInfer(iter([too_long]), timeout=TIMEOUT_S)
        assert "at most" in answer.error_message

    try:
        assert kept_bytes(server, refuse) < 20 * MIB  # of 45 MiB that came
        assert kept_bytes(server, refuse_on_stream) < 20 * MIB
    finally:
        asked.close()


@pytest.mark.parametrize("unit", [b"[],", b"{},", b'"",', b"[", b'{"a":', b"null,", b'["\\"["],'])
def test_too_many_are_refused_before_they_are_made(server: Server, unit: bytes) -> None:
    room = LIMITS["max_body_bytes"] - 64
    body = b'{"sequences": [' + unit * (room // len(unit))
    before = forget_peak(server)
    (answer,) = exchange(server, [request(predict_path(), body.rstrip(b",") + b"]}")], 1)
    assert answer.status in (400, 413, 422), answer
    assert memory(server, "VmHWM") - before < 40 * MIB
