"""Several processes on one port are as good as one: nothing is lost, nothing is counted twice."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.engine.threads import worker_cores
from tests.http.made import FINE, steps
from tests.http.payloads import frames, predict_body, predict_path
from tests.http.refusals import check_refusal, check_serving
from tests.http.scrape import Scrape
from tests.http.work import post, taken, units_per_second
from tests.servers import CHECKOUT, START_S, Server, serving, wait_until
from tests.workers.processes import (
    LSTM,
    connections,
    counters_folder,
    forget_connections,
    held_open,
    is_running,
    started,
    workers,
)


class Load:
    """Clients in a closed loop, each on a connection that it keeps while it can."""

    def __init__(self, server: Server, clients: int) -> None:
        self._server = server
        self._enough = threading.Event()
        self.answered = [0] * clients
        self.lost = [0] * clients

    def _ask(self, index: int) -> None:
        body = predict_body(frames(40 + index), frames(3))
        with httpx.Client(base_url=self._server.base_url, timeout=START_S) as client:
            while not self._enough.is_set():
                try:
                    answer = client.post(predict_path(LSTM), json=body)
                    if answer.status_code == 503:
                        assert answer.json()["code"] == "worker_ended"
                        self.lost[index] += 1
                        continue
                    assert answer.status_code == 200
                    self.answered[index] += 1
                except httpx.TransportError:
                    self.lost[index] += 1

    @contextmanager
    def running(self) -> Iterator[None]:
        """Ask until the block ends; then let every client finish its request."""
        with ThreadPoolExecutor(len(self.lost)) as pool:
            self._clients = [pool.submit(self._ask, index) for index in range(len(self.lost))]
            try:
                self.wait_answers(3)
                yield
            finally:
                self._enough.set()
            for client in self._clients:
                client.result()

    def wait_answers(self, more: int) -> None:
        """Return when every client has had so many more answers."""
        wanted = [count + more for count in self.answered]
        wait_until(
            lambda: (
                all(a >= w for a, w in zip(self.answered, wanted, strict=True))
                or any(client.done() for client in self._clients)
            )
        )


def test_each_worker_has_its_share_of_the_cores(server: Server) -> None:
    for index in (0, 1):
        engine = server.wait_for_event("engine started", worker=index)
        assert engine["cores"] == worker_cores(2, index)
        assert engine["threads"] == len(engine["cores"])


def test_a_killed_worker_takes_only_its_own_connections_and_is_replaced(server: Server) -> None:
    victim = workers(server)[0]
    load = Load(server, clients=8)
    with load.running():
        doomed = connections(server)[0]
        assert 2 <= doomed <= 6, "the connections are shared out"
        os.kill(victim, signal.SIGKILL)
        ended = server.wait_for_event("worker ended", worker=0)
        assert ended["exit_code"] == -signal.SIGKILL
        load.wait_answers(3)
        assert server.client.get("/v2/health/ready").status_code == 200
        wait_until(lambda: len(started(server)) == 3)
        load.wait_answers(3)
    assert sum(load.lost) <= doomed, "the living worker lost requests"
    assert max(load.lost) <= 1, "a client could not come back"
    assert workers(server)[0] != victim
    wait_until(lambda: gets_connections(server, 0))


def gets_connections(server: Server, index: int) -> bool:
    with held_open(server, 1):
        return connections(server)[index] > 0


def test_counters_outlive_their_worker_and_gauges_do_not(server: Server) -> None:
    with held_open(server, 2) as clients:
        for client in clients:
            for _ in range(5):
                client.post(predict_path(LSTM), json=predict_body(frames(20), frames(4)))
        labels = {"model": LSTM, "version": "1", "protocol": "v1", "outcome": "ok"}
        assert connections(server)[0] > 0
        # what another worker counted is seen within a tenth of a second
        wait_until(lambda: Scrape(server)("seqserve_requests_total", **labels) == 12)
        before = Scrape(server)
        assert before("seqserve_request_duration_seconds_count", **labels) == 12
        real = before("seqserve_cells_total", model=LSTM, kind="real")
        assert real > 10 * 24
        assert before("seqserve_model_info", model=LSTM, precision="fp32") == 1
        assert before("process_resident_memory_bytes") > 2 * 30e6
        assert "python_info" in before.names()
    os.kill(workers(server)[0], signal.SIGKILL)
    server.wait_for_event("worker ended", worker=0)
    forget_connections(server)
    between = Scrape(server)
    assert between("seqserve_requests_total", **labels) == 12
    assert between("seqserve_model_info", model=LSTM, precision="fp32") == 1
    if len(started(server)) == 2:  # not replaced yet
        resident = "process_resident_memory_bytes"
        assert between(resident) < 0.75 * before(resident)
    wait_until(lambda: len(started(server)) == 3)
    check_serving(server.client, LSTM)
    wait_until(lambda: Scrape(server)("seqserve_requests_total", **labels) == 13)
    after = Scrape(server)
    assert after("seqserve_model_info", model=LSTM, precision="fp32") == 1
    assert after("process_cpu_seconds_total") >= between("process_cpu_seconds_total")


def test_what_is_under_way_anywhere_is_seen_from_everywhere(server: Server) -> None:
    second = units_per_second(server, "made")
    with ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            pool.submit(post, server, "made", [steps(FINE, 4 * second)])
        wait_until(lambda: taken(server, "made") == 2)
        wait_until(lambda: taken(server, "made") == 0)


def test_requests_in_flight_are_answered_before_the_end(server: Server) -> None:
    second = units_per_second(server, "made")
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(post, server, "made", [steps(FINE, second)]) for _ in range(4)]
        wait_until(lambda: taken(server, "made") == 4 or all(a.done() for a in answers))
        server.terminate()
        assert [answer.result().status_code for answer in answers] == [200] * 4
    assert server.wait() == 0


def test_before_it_stops_it_says_so_and_still_serves(repository: Path) -> None:
    with serving(repository, workers=2, drain_delay_s=1.5) as server:
        load = Load(server, clients=4)
        with load.running():
            server.terminate()
            server.wait_for_event("draining")
            with held_open(server, 2) as clients:
                for client in clients:
                    assert client.get("/v2/health/ready").status_code == 503
        assert load.lost == [0] * 4
        assert server.wait() == 0


def test_control_c_ends_it_at_once(repository: Path) -> None:
    with serving(repository, workers=2, drain_delay_s=600) as server:
        server.process.send_signal(signal.SIGINT)
        assert server.wait() == 0


def test_a_second_signal_ends_the_wait(repository: Path) -> None:
    with serving(repository, workers=2, drain_delay_s=600) as server:
        server.terminate()
        server.wait_for_event("draining")
        server.terminate()
        assert server.wait() == 0


def test_a_signal_to_all_of_them_is_one_signal(repository: Path) -> None:
    with serving(repository, workers=2, drain_delay_s=1.5) as server:
        load = Load(server, clients=4)
        with load.running():
            for pid in (*workers(server).values(), server.process.pid):
                os.kill(pid, signal.SIGTERM)
            server.wait_for_event("draining")
            load.wait_answers(1)
        assert load.lost == [0] * 4
        assert server.wait() == 0


def test_what_outlasts_the_time_to_shut_down_is_told_so(repository: Path) -> None:
    with serving(repository, workers=2, shutdown_timeout_s=1, max_batch_size=1) as server:
        second = units_per_second(server, "made")
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(post, server, "made", [steps(FINE, second / 4)] * 256)
            wait_until(lambda: taken(server, "made") >= 200)
            server.terminate()
            assert server.wait() == 0
            check_refusal(answer.result(), 503, "", "stopped", code="draining")


def test_workers_do_not_outlive_their_supervisor(server: Server) -> None:
    pids = workers(server).values()
    counters = counters_folder(server)
    assert counters.is_dir()
    second = units_per_second(server, "made")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(post, server, "made", [steps(FINE, second)])
        wait_until(lambda: taken(server, "made") == 1)
        server.process.kill()
        assert answer.result().status_code == 200
    wait_until(lambda: not any(map(is_running, pids)))
    assert not counters.exists()
    assert server.process.wait() == -signal.SIGKILL
    server.process.returncode = 0  # as wanted


@pytest.mark.parametrize(
    ("flags", "code", "says"),
    [
        (["--workers", "0"], 2, ["bad setting", "workers"]),
        (["--workers", "2", "--repository", "no/such"], 2, ["bad setting", "is not a folder"]),
        (["--workers", "2", "--port", "{taken}"], 3, ["is in use", "{taken}", "--port"]),
        (["--workers", "2", "--host", "256.0.0.1"], 3, ["error"]),
    ],
)
def test_what_cannot_start_says_why(flags: list[str], code: int, says: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken_port:
        taken = str(taken_port.getsockname()[1])
        ended = run(*(flag.replace("{taken}", taken) for flag in flags))
        assert ended.returncode == code
        assert "Traceback" not in ended.stderr
        for text in says:
            assert text.replace("{taken}", taken) in ended.stderr


def test_workers_that_cannot_start_end_it_all() -> None:
    # their engine's threads do not fit this much address space; the supervisor has none
    limit = 1_500 << 20
    ended = run(
        *("--workers", "2", "--port", "0", "--engine-threads", "256"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert ended.returncode == 3
    assert "worker did not start" in ended.stderr


def run(*flags: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service", *flags]
    return subprocess.run(
        command,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
        **options,
    )
