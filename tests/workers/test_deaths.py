"""A worker that dies answers for what it was asked; a model that takes two down is left alone.

Workers are killed while a slow, harmless graph runs: nobody here asks what ends one by itself.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from service.engine.board import Running
from service.workers.blame import Blame
from service.workers.kept import ANSWER, awaits_answer
from tests.http.made import FINE, steps
from tests.http.payloads import predict_path
from tests.http.refusals import check_refusal, check_serving
from tests.http.work import taken, units_per_second
from tests.servers import START_S, Server, serving, wait_until
from tests.workers.processes import (
    LSTM,
    connections,
    forget_connections,
    held_open,
    started,
    workers,
)

CLIENTS = 8


@pytest.fixture
def server(repository: Path) -> Iterator[Server]:
    with serving(repository, workers=2, max_batch_size=1) as server:
        yield server


def ask_slow(client: httpx.Client, amount: float) -> httpx.Response:
    return client.post(predict_path("made"), json={"sequences": [steps(FINE, amount)]})


def test_who_waits_on_a_dead_worker_is_told_to_ask_again(server: Server) -> None:
    second = units_per_second(server, "made")
    with held_open(server, CLIENTS) as clients, ThreadPoolExecutor(CLIENTS) as pool:
        answers = [pool.submit(ask_slow, client, second / 2) for client in clients]
        wait_until(lambda: taken(server, "made") >= CLIENTS - 1)
        os.kill(workers(server)[0], signal.SIGKILL)
        ended = [answer.result() for answer in answers]
        told = [answer for answer in ended if answer.status_code != 200]
        assert CLIENTS / 4 <= len(told) <= 3 * CLIENTS / 4
        for answer in told:
            check_refusal(answer, 503, "", "ask again", code="worker_ended")
            assert answer.headers["Retry-After"] == "1"
        for client in clients:  # on another connection, where the old one is closed
            check_serving(client, LSTM)
    logged = server.wait_for_event("requests told that their worker ended", worker=0)
    assert logged["num"] == len(told)


def test_who_waits_for_nothing_is_told_nothing(server: Server) -> None:
    """Neither before its first request nor, but for the kernel's clock, between two."""
    address = httpx.URL(server.base_url)
    with (
        socket.create_connection((address.host, address.port)) as silent,
        socket.create_connection((address.host, address.port)) as idle,
    ):
        wait_until(lambda: sum(connections(server).values()) >= 2)
        idle.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while not answer.endswith(b'{"live":true}'):
            answer += idle.recv(1 << 16)
        for pid in workers(server).values():
            os.kill(pid, signal.SIGKILL)
        for connection, told in ((silent, {b""}), (idle, {b"", ANSWER})):
            connection.settimeout(START_S)
            with connection.makefile("rb") as rest:
                assert rest.read() in told
    wait_until(lambda: len(started(server)) == 4)


def test_a_connection_ends_when_its_worker_ends_it(server: Server) -> None:
    address = httpx.URL(server.base_url)
    supervisor = Path(f"/proc/{server.process.pid}/fd")
    before = len(list(supervisor.iterdir()))
    for _ in range(20):
        with socket.create_connection((address.host, address.port)) as connection:
            connection.settimeout(START_S)
            connection.sendall(
                b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            with connection.makefile("rb") as answer:
                assert answer.read().startswith(b"HTTP/1.1 200")
    wait_until(lambda: len(list(supervisor.iterdir())) <= before)


def test_a_model_that_took_two_workers_down_is_quarantined(server: Server) -> None:
    second = units_per_second(server, "made")
    forget_connections(server)
    for deaths in (1, 2):
        with held_open(server, 1) as (client,), ThreadPoolExecutor(1) as pool:
            wait_until(lambda: sum(connections(server).values()) == 1)
            (index,) = [it for it, count in connections(server).items() if count]
            answer = pool.submit(ask_slow, client, 4 * second)
            wait_until(lambda: taken(server, "made") == 1)
            forget_connections(server)
            os.kill(workers(server)[index], signal.SIGKILL)
            check_refusal(answer.result(), 503, "", "ask again", code="worker_ended")
        wait_until(lambda deaths=deaths: len(started(server)) == 2 + deaths)  # type: ignore[misc]
    found = server.wait_for_event("model quarantined, as runs of it ended workers")
    assert (found["model"], found["for_s"]) == ("made", 60.0)
    with held_open(server, 4) as clients:
        for client in clients:  # of both workers
            refused = client.post(predict_path("made"), json={"sequences": [steps()]})
            check_refusal(refused, 503, "name", "quarantined", code="model_quarantined")
            assert client.get("/v2/models/made/ready").status_code == 503
            check_serving(client, LSTM)


def test_two_deaths_within_a_minute_are_too_many_and_the_next_two_cost_twice_the_time() -> None:
    blame, model, other = Blame(first_s=10.0), Running("a", "1"), Running("a", "2")
    assert blame.died({model, other}, 0.0) == {}
    assert blame.died({other}, 61.0) == {}
    assert blame.died(set(), 62.0) == {}
    assert blame.died({model}, 62.0) == {}
    assert blame.died({model}, 121.0) == {model: 10.0}
    assert blame.left(125.0) == {model: 6.0}
    assert blame.left(131.0) == {}
    assert blame.died({model}, 200.0) == {}
    assert blame.died({model, other}, 201.0) == {model: 20.0}


def test_the_kernel_knows_who_waits() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
        with client, ours:
            assert not awaits_answer(ours), "nothing came"
            for _ in range(3):
                client.sendall(b"GET / HTTP/1.1\r\n")
                wait_until(lambda: awaits_answer(ours))
                ours.recv(100)
                assert awaits_answer(ours)
                ours.sendall(b"HTTP/1.1 200 OK\r\n")
                client.recv(100)
            client.sendall(b"GET / HTTP/1.1\r\n")
            came_s = time.monotonic()
            ours.recv(100)
            wait_until(lambda: time.monotonic() > came_s + 0.05)
            ours.sendall(b"HTTP/1.1 200 OK\r\n")
            assert not awaits_answer(ours), "its answer has begun"
            client.recv(100)
            assert not awaits_answer(ours)
