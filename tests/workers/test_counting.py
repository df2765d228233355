"""However often workers die, what all have answered stays counted, in files that grow no more."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.http.payloads import frames, predict_body, predict_path
from tests.http.scrape import Scrape
from tests.servers import START_S, Server, wait_until
from tests.workers.processes import (
    LSTM,
    counters_folder,
    forget_connections,
    held_open,
    started,
    workers,
)

CLIENTS, REQUESTS, KILLS = 6, 100, 2
COUNTER = "seqserve_requests_total"
OK = {"model": LSTM, "version": "1", "protocol": "v1", "outcome": "ok"}


def counted(server: Server) -> float:
    return Scrape(server)(COUNTER, **OK)


def ask(base_url: str, length: int, answered: list[float], enough: threading.Event) -> None:
    """Again and again; note when each answer came."""
    body = predict_body(frames(length))
    with httpx.Client(base_url=base_url, timeout=START_S) as client:
        while not enough.is_set():
            try:
                answer = client.post(predict_path(LSTM), json=body)
            except httpx.TransportError:
                continue
            if answer.status_code == 200:
                answered.append(time.monotonic())
            else:  # all workers still load, or this one died
                code = answer.json()["code"]
                assert code in ("model_not_ready", "worker_ended"), answer.text
                time.sleep(0.02)


def kill(server: Server, index: int, number: int) -> float:
    """When; returns once another serves in its place."""
    killed_s = time.monotonic()
    os.kill(workers(server)[index], signal.SIGKILL)
    forget_connections(server)
    wait_until(lambda: len(started(server)) == 2 + number)
    return killed_s


def files(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir()}


@contextmanager
def asking(server: Server) -> Iterator[list[float]]:
    """Many at a time, until the block ends; the list has all answers' times then."""
    answered: list[float] = []
    enough = threading.Event()
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [
            pool.submit(ask, server.base_url, 10 + index, answered, enough)
            for index in range(CLIENTS)
        ]
        try:
            wait_until(lambda: len(answered) >= REQUESTS)
            yield answered
            have = len(answered)
            wait_until(lambda: len(answered) >= have + REQUESTS)
        finally:
            enough.set()
    for client in clients:
        client.result()


@pytest.mark.deep
def test_sums_stay_exact_when_workers_die_between_requests(server: Server) -> None:
    counts = Counts(server)
    for number in range(KILLS):
        with asking(server) as answered:
            pass
        # what a worker counted is in its file within a tenth of a second, and then it is safe
        counts.wait(len(answered))
        kill(server, number % 2, number + 1)
        counts.wait(0)
    # under load, a worker's last moment is lost
    with asking(server) as answered:
        killed_s = [kill(server, number % 2, KILLS + number + 1) for number in range(KILLS)]
    assert Scrape(server)("seqserve_worker_restarts_total") == 2 * KILLS
    time.sleep(0.25)
    moments = sum(any(at - 0.5 <= when <= at for at in killed_s) for when in answered)
    # what was answered to a connection that was then lost was counted, and asked for again
    now = counted(server) - counts.total
    assert len(answered) - moments <= now <= len(answered) + KILLS * CLIENTS
    counts.check_files()


class Counts:
    """What is to be counted, and in which files."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.total = self._ask_all()
        self._folder = counters_folder(server)
        self._files = files(self._folder)

    def _ask_all(self) -> int:
        with held_open(self._server, 4) as clients:
            for client in clients:  # a worker's gauges come with its first scrape
                client.get("/metrics")
            return len(clients)

    def wait(self, more: int) -> None:
        """Return when so many more are counted; they never are fewer."""
        self.total += more
        wait_until(lambda: counted(self._server) >= self.total)
        assert counted(self._server) == self.total

    def check_files(self) -> None:
        """As many as at the beginning, and no larger."""
        self._ask_all()
        wait_until(lambda: files(self._folder) == self._files)
