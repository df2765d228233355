"""The lane against clients that do not wait, do not read, or say what later ones say too."""

from __future__ import annotations

import contextlib
import json
import time

from tests.http.payloads import frames, infer_body
from tests.http.raw import connect, exchange, request
from tests.servers import Server

PATH = "/v2/models/digits-attention/infer"
MIB = 1 << 20
REFUSED = b"HTTP/1.1 404 "


def test_a_client_that_asks_on_and_does_not_read_is_held_back_and_answered_later(
    server: Server,
) -> None:
    whole = request(f"/v2/models/{'m' * 2_000}/infer", b"{}")  # refused at once, by that name
    block = 100 * whole
    num_bytes = num_answers = 0
    rest = b""
    with connect(server) as connection:
        connection.settimeout(2.0)
        with contextlib.suppress(TimeoutError):
            while num_bytes < 64 * MIB:
                num_bytes += connection.send(block[num_bytes % len(whole) :])
        assert num_bytes < 32 * MIB, "it is read whether its answers are or not"
        time.sleep(6.0)  # longer than a connection may be idle: this one is not
        connection.settimeout(30.0)
        while num_answers < num_bytes // len(whole):
            received = rest + connection.recv(1 << 20)
            assert received.count(b"HTTP/1.1 ") == received.count(REFUSED)
            num_answers += received.count(REFUSED)
            # the beginning of another, perhaps, that is not counted yet
            rest = received[received.rfind(REFUSED) + len(REFUSED) :][1 - len(REFUSED) :]


def test_many_small_requests_at_once_are_answered_in_order(server: Server) -> None:
    bodies = [json.dumps(infer_body(frames(1), id=str(index))).encode() for index in range(500)]
    stream = b"".join(request(PATH, body) for body in bodies)
    answers = exchange(server, [stream], len(bodies))
    assert [json.loads(answer.body)["id"] for answer in answers] == [
        str(index) for index in range(len(bodies))
    ]


def test_a_head_seen_first_without_a_body_closes_the_connection_with_one_too(
    server: Server,
) -> None:
    headers = [("Content-Type", "application/json; mark=here"), ("Connection", "close")]
    (empty,) = exchange(server, [request(PATH, b"", headers)], 2)
    assert empty.status == 400
    body = json.dumps(infer_body(frames(3))).encode()
    (answer,) = exchange(server, [request(PATH, body, headers)], 2)  # a second one never comes
    assert answer.status == 200
    assert answer.header(b"connection") == b"close"


def test_small_nested_tensors_are_read(server: Server) -> None:
    tensor = {"name": "inputs", "datatype": "FP32", "shape": [1, 2, 40]}
    flat, nested = (
        json.dumps({"inputs": [{**tensor, "data": data}]}, separators=(",", ":")).encode()
        for data in ([0] * 80, [[[0] * 40] * 2])
    )
    answers = exchange(server, [request(PATH, body) for body in (nested, flat, nested)], 3)
    assert [answer.status for answer in answers] == [200] * 3
    assert len({answer.body for answer in answers}) == 1
