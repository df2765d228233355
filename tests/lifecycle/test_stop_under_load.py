"""A server that stops while clients ask: whatever was sent before a client was told is answered.

SEQSERVE_STOPS is how often each server is stopped.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.http.made import copy_bundle
from tests.http.payloads import frames, infer_body, infer_path
from tests.http.raw import Answers, connect, request
from tests.security.authority import Authority
from tests.servers import Server, serving, wait_until

STOPS = int(os.environ.get("SEQSERVE_STOPS", "1"))
MODEL = "digits-lstm"
BODY = json.dumps(infer_body(frames(3))).encode()
PATHS = [infer_path(), infer_path().replace("lstm", "%6Cstm"), "/v2/health/live"]
BURST = 4
THINKS_S = 0.02


class Clients:
    """Ask until the server tells them that an answer is its last.

    Args:
        server: That they ask.
        context: Of TLS, if it speaks that.
    """

    def __init__(self, server: Server, context: ssl.SSLContext | None) -> None:
        self._server = server
        self._context = context
        self.num_answers = 0
        self.connected: set[int] = set()

    def _count(self, number: int) -> None:
        self.num_answers += 1
        self.connected.add(number)

    def ask(self, number: int) -> None:
        """By httpx, on one connection; now and then it thinks."""
        chance = random.Random(number)
        verify = self._context or False
        with httpx.Client(base_url=self._server.base_url, verify=verify, timeout=30) as client:
            for turn in itertools.count():
                if PATHS[number % 3].startswith("/v2/health"):
                    answer = client.get(PATHS[number % 3])
                else:
                    answer = client.post(PATHS[(number + turn) % 2], content=BODY)
                assert answer.status_code == 200
                self._count(number)
                if answer.headers.get("connection") == "close":
                    return
                if number % 2:
                    threading.Event().wait(chance.random() * THINKS_S)

    def pipeline(self, number: int) -> None:
        """Several requests at a time, all sent before the first answer is read."""
        lives = request(PATHS[2], method="GET")
        burst = [request(PATHS[number % 2], BODY)] * (BURST - 1) + [lives]
        with contextlib.ExitStack() as stack:
            connection: socket.socket = stack.enter_context(connect(self._server))
            if self._context is not None:
                wrapped = self._context.wrap_socket(connection, server_hostname="127.0.0.1")
                connection = stack.enter_context(wrapped)
            while True:
                reader = Answers()
                connection.sendall(b"".join(burst))
                while len(reader.answers) < BURST:
                    got = connection.recv(1 << 16)
                    assert got, f"{BURST - len(reader.answers)} requests were lost"
                    reader.feed(got)
                assert [answer.status for answer in reader.answers] == [200] * BURST
                self._count(number)
                told = [answer.header(b"connection") for answer in reader.answers]
                if b"close" in told:
                    assert told.index(b"close") == BURST - 1
                    assert connection.recv(1) == b""
                    return


@pytest.mark.timeout(60 + 30 * STOPS)
@pytest.mark.parametrize(
    "kind", ["alone", "two workers", "TLS", "two workers with TLS", "after a delay"]
)
def test_what_was_sent_before_a_client_was_told_is_answered(tmp_path: Path, kind: str) -> None:
    copy_bundle(MODEL, tmp_path / "repository")
    settings: dict[str, Any] = {"workers": 2 if "workers" in kind else 1}
    context = None
    if "TLS" in kind:
        authority = Authority(tmp_path)
        pair = authority.issue("server")
        settings |= {"tls_certificate": pair.certificate, "tls_key": pair.key}
        context = ssl.create_default_context(cafile=str(authority.certificate))
    if "delay" in kind:
        settings["drain_delay_s"] = 0.3
    for _ in range(STOPS):
        stop_under_load(tmp_path / "repository", context, **settings)


def stop_under_load(repository: Path, context: ssl.SSLContext | None, **settings: Any) -> None:
    with serving(repository, ready=False, **settings) as server:
        server.client = httpx.Client(base_url=server.base_url, verify=context or False, timeout=30)
        server.wait_ready()
        server.client.close()
        clients = Clients(server, context)
        with ThreadPoolExecutor(16) as pool:
            asking = [pool.submit(clients.ask, number) for number in range(12)]
            asking += [pool.submit(clients.pipeline, number) for number in range(12, 16)]
            wait_until(  # none is still to connect, which the stopping server refuses
                lambda: (
                    (clients.num_answers > 150 and len(clients.connected) == len(asking))
                    or any(it.done() for it in asking)
                )
            )
            server.terminate()
            for each in asking:
                each.result()
        assert server.wait() == 0


def test_an_idle_connection_may_ask_once_more(tmp_path: Path) -> None:
    """As its request may have been on the way when the server was told to stop."""
    copy_bundle(MODEL, tmp_path / "repository")
    live = request(PATHS[2], method="GET")
    with serving(tmp_path / "repository", idle_drain_s=2.0) as server:
        server.client.close()
        with connect(server) as asks, connect(server) as opened, connect(server) as silent:
            for connection in (asks, silent):
                connection.sendall(live)
                got = b""
                while not got.endswith(b"}"):
                    got += connection.recv(1 << 16)
            began_s = time.monotonic()
            server.terminate()
            server.wait_for_event("Shutting down")
            for connection in (asks, opened):
                connection.sendall(live)
                got = b"".join(iter(partial(connection.recv, 1 << 16), b""))
                assert got.startswith(b"HTTP/1.1 200")
                assert b"connection: close" in got
            assert silent.recv(1) == b""
            assert 1.5 < time.monotonic() - began_s < 15.0
        assert server.wait() == 0
