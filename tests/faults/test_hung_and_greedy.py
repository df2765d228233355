"""A real server with a graph that hangs, or wants all memory: the others serve on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.faults.asking import ask, check_answers
from tests.faults.made import POISON, always_looping, greedy, looping, write_faulty
from tests.http.scrape import Scrape
from tests.servers import Server, serving, wait_until

QUARANTINE_S = 1.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("faulty")
    write_faulty(folder, greedy=greedy(), hung=always_looping(), looping=looping())
    with serving(
        folder,
        ready=False,
        engine_threads=2,
        max_hang_s=0.5,
        quarantine_s=QUARANTINE_S,
        max_graph_bytes=64 << 20,
        strict_readiness=False,
    ) as server:
        server.wait_ready()
        yield server


def test_a_graph_that_hangs_when_it_is_tried_is_refused(server: Server) -> None:
    index = {it["name"]: it for it in server.client.post("/v2/repository/index").json()}
    assert index["hung"]["state"] == "UNAVAILABLE"
    assert index["hung"]["reason"] == "a run took longer than max_hang_s, 0.5 s"
    assert index["looping"]["state"] == index["greedy"]["state"] == "READY"


def test_a_model_that_hangs_is_quarantined_and_the_other_serves_on(server: Server) -> None:
    check_answers(server, "looping")
    with ThreadPoolExecutor(3) as pool:
        hanging = [pool.submit(ask, server, "looping", POISON) for _ in range(3)]
        while not all(it.done() for it in hanging):
            check_answers(server, "greedy")  # but while both threads hang
    for it in hanging:
        check_quarantined(it.result())
    check_quarantined(ask(server, "looping"))
    assert server.client.get("/v2/models/looping/ready").status_code == 503
    assert server.client.get("/v2/health/ready").status_code == 200
    index = {it["name"]: it for it in server.client.post("/v2/repository/index").json()}
    assert index["looping"]["state"] == "UNAVAILABLE"
    assert "quarantined" in index["looping"]["reason"]
    scrape = Scrape(server)
    assert scrape("seqserve_model_quarantined", model="looping") == 1
    assert scrape("seqserve_hung_runs_total", model="looping") in (1, 2)
    wait_until(lambda: server.client.get("/v2/models/looping/ready").status_code == 200)
    check_answers(server, "looping")
    assert Scrape(server)("seqserve_model_quarantined", model="looping") == 0


def check_quarantined(response: httpx.Response) -> None:
    assert response.status_code == 503, response.text
    assert response.json()["code"] == "model_quarantined"
    assert int(response.headers["Retry-After"]) >= 1


def test_a_load_ends_the_quarantine(server: Server) -> None:
    check_quarantined(ask(server, "looping", POISON))
    loaded = server.client.post("/v2/repository/models/looping/load")
    assert loaded.status_code == 200, loaded.text
    check_answers(server, "looping")


def test_a_run_that_wants_all_memory_fails_alone(server: Server) -> None:
    started_s = time.perf_counter()
    for _ in range(3):
        response = ask(server, "greedy", 1e9)
        assert (response.status_code, response.json()["code"]) == (503, "out_of_memory")
        assert int(response.headers["Retry-After"]) >= 1
        check_answers(server, "greedy")
    assert time.perf_counter() - started_s < 10
