"""Every way in over HTTP asks for a key, and each request for its own."""

from __future__ import annotations

import json
import random
import socket

import httpx
import pytest

from tests.grpc.asking import GrpcServer
from tests.http.payloads import frames, infer_body, infer_path, predict_body, predict_path
from tests.http.raw import connect, exchange, request
from tests.security.keyring import Keyring
from tests.servers import wait_until

LSTM = "digits-lstm"

HOT = [(infer_path(), infer_body(frames(3))), (predict_path(), predict_body(frames(3)))]
GUARDED = [
    ("GET", "/metrics", "scraper"),
    ("POST", "/v2/logging", "keeper"),
    ("GET", "/no/such", "asker"),
    *(("POST", path, "asker") for path, _ in HOT),
]


@pytest.mark.parametrize(("method", "path", "caller"), GUARDED)
def test_who_has_no_key_or_another_one_is_refused(
    server: GrpcServer, keyring: Keyring, method: str, path: str, caller: str
) -> None:
    client = server.process.client
    for headers in ({}, {"X-API-Key": "sq_guess"}, {"Authorization": f"Basic {'x' * 40}"}):
        refused = client.request(method, path, headers=headers)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
        assert refused.json()["code"] == "unauthenticated"
    assert client.request(method, path, headers=keyring.of(caller)).status_code not in (401, 403)
    wrong = "scraper" if caller != "scraper" else "asker"
    for other in (wrong, *(["asker"] if caller == "keeper" else [])):
        refused = client.request(method, path, headers=keyring.of(other))
        assert refused.status_code == 403
        scope = {"asker": "infer", "keeper": "admin", "scraper": "metrics"}[caller]
        assert scope in refused.json()["error"].split()


def test_health_is_open(server: GrpcServer) -> None:
    assert server.process.client.get("/v2/health/live").status_code == 200
    assert server.process.client.get("/v2/health/ready").status_code == 200


def test_pages_are_open_and_tell_of_no_model(server: GrpcServer) -> None:
    for path in ("/", "/docs", "/docs/docs.js"):
        page = server.process.client.get(path, headers={"Accept": "text/html"})
        assert page.status_code == 200
        assert LSTM not in page.text
    assert server.process.client.get("/docs/nosuch").status_code == 404


def test_either_header_will_do_but_not_two_tokens(server: GrpcServer, keyring: Keyring) -> None:
    path, body = HOT[0]
    asker, other = keyring.tokens["asker"], keyring.tokens["other"]
    for _ in range(3):  # read, then known by heart
        for headers, status in [
            ({"X-API-Key": asker}, 200),
            ({"Authorization": f"bearer   {asker}"}, 200),
            ({"Authorization": f"Bearer {asker}", "X-API-Key": asker}, 200),
            ({"Authorization": "Basic eDp5", "X-API-Key": asker}, 200),
            ({"Authorization": f"Bearer {asker}", "X-API-Key": other}, 401),
            ({"Authorization": asker}, 401),
        ]:
            for json_body in (body, {**body, "id": "1"}):
                answer = server.process.client.post(path, json=json_body, headers=headers)
                assert answer.status_code == status, headers


def test_a_header_that_is_given_twice_is_refused(server: GrpcServer, keyring: Keyring) -> None:
    path, body = HOT[0]
    twice = [("X-API-Key", keyring.tokens["asker"])] * 2
    (answer,) = exchange(server.process, [request(path, json.dumps(body).encode(), twice)], 1)
    assert answer.status == 401


@pytest.mark.parametrize("chunk", [1 << 20, 7_001, 97])
def test_no_caller_s_key_counts_for_another_s_request(
    server: GrpcServer, keyring: Keyring, chunk: int
) -> None:
    """One connection, heads alike but for the key, sent at once: known by heart and not."""
    asker = [("Authorization", f"Bearer {keyring.tokens['asker']}")]
    other = [("X-API-Key", keyring.tokens["other"])]
    kinds: list[tuple[list[tuple[str, str]], int]] = [
        (asker, 200),
        ([], 401),
        (other, 200),
        ([("Authorization", "Bearer sq_guess")], 401),
        ([("Authorization", f"Bearer {keyring.tokens['scraper']}")], 403),
        ([("X-API-Key", keyring.tokens["asker"][:-1])], 401),
    ]
    choose = random.Random(chunk)
    stream, wanted = b"", []
    for _ in range(120):
        headers, status = choose.choice(kinds)
        path, body = choose.choice(HOT)
        typed = [("Content-Type", "application/json"), *headers]
        stream += request(path, json.dumps(body).encode(), typed)
        wanted.append(status)
    pieces = [stream[at : at + chunk] for at in range(0, len(stream), chunk)]
    answers = exchange(server.process, pieces, len(wanted))
    assert [answer.status for answer in answers] == wanted


def test_a_body_that_nobody_may_send_is_let_pass(server: GrpcServer, keyring: Keyring) -> None:
    path, body = HOT[0]
    long = json.dumps({**body, "id": "x" * 100_000}).encode()
    asker = [("X-API-Key", keyring.tokens["asker"])]
    stream = request(path, long) + request(path, json.dumps(body).encode(), asker)
    answers = exchange(server.process, [stream[:50_000], stream[50_000:]], 2)
    assert [answer.status for answer in answers] == [401, 200]


def test_a_rate_is_one_for_all_ways_in(server: GrpcServer, keyring: Keyring) -> None:
    slow = keyring.of("slow")
    client = server.process.client
    path, body = HOT[0]
    assert client.post(path, json=body, headers=slow).status_code == 200
    assert client.get("/v1/models", headers=slow).status_code == 200
    assert client.post(HOT[1][0], json=HOT[1][1], headers=slow).status_code == 200
    for refused in (
        client.post(path, json=body, headers=slow),
        client.get("/v1/models", headers=slow),
    ):
        assert refused.status_code == 429
        assert refused.json()["code"] == "rate_limited"
        assert 90 <= int(refused.headers["Retry-After"]) <= 100


def test_what_is_under_way_is_counted_and_given_back(server: GrpcServer, keyring: Keyring) -> None:
    narrow = keyring.tokens["narrow"]
    path, body = HOT[0]
    whole = request(path, json.dumps(body).encode(), [("X-API-Key", narrow)])
    client = server.process.client

    def ask() -> httpx.Response:
        return client.post(path, json=body, headers=keyring.of("narrow"))

    def num_admitted() -> str:
        text = client.get("/metrics", headers=keyring.of("scraper")).text
        return "".join(line for line in text.splitlines() if 'key="narrow",outcome="adm' in line)

    def begin(connection: socket.socket) -> None:
        before = num_admitted()
        connection.sendall(whole[:-1])
        wait_until(lambda: num_admitted() != before)

    with connect(server.process) as half:
        begin(half)
        refused = ask()
        assert refused.status_code == 429
        assert refused.json()["code"] == "concurrency_limited"
        assert refused.headers["Retry-After"] == "1"
        half.sendall(whole[-1:])
        assert half.recv(1 << 16).startswith(b"HTTP/1.1 200")
    assert ask().status_code == 200
    with connect(server.process) as left:
        begin(left)
        assert ask().status_code == 429
    while ask().status_code == 429:  # until it is seen that it left
        pass
    for _ in range(5):
        assert ask().status_code == 200


def test_keys_are_counted_by_name_and_no_other_name(server: GrpcServer, keyring: Keyring) -> None:
    client = server.process.client
    client.post(HOT[0][0], json=HOT[0][1], headers=keyring.of("other"))
    client.get("/v2", headers={"X-API-Key": "sq_guess"})
    text = client.get("/metrics", headers=keyring.of("scraper")).text
    lines = [line for line in text.splitlines() if line.startswith("seqserve_key_requests_total{")]
    names = {line.split('key="')[1].split('"')[0] for line in lines}
    assert names <= {"", *keyring.tokens}
    assert any('key="other",outcome="admitted"' in line for line in lines)
    assert any('key="",outcome="unauthenticated"' in line for line in lines)
    assert "seqserve_key_file_ok 1.0" in text


def test_the_document_says_how_to_give_a_key(server: GrpcServer, keyring: Keyring) -> None:
    document = server.process.client.get("/openapi.json", headers=keyring.of("asker")).json()
    schemes = document["components"]["securitySchemes"]
    assert {scheme["type"] for scheme in schemes.values()} == {"http", "apiKey"}
    assert document["security"] == [{name: []} for name in schemes]
    assert document["paths"]["/v2/health/live"]["get"]["security"] == []
    assert "401" in document["paths"]["/metrics"]["get"]["responses"]
