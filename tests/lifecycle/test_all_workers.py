"""A change that one worker is asked for is made by all, and by those that come in their place."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from service.manifest import GRAPH_FILE
from service.repository.routes import UNLOADED
from tests.http.refusals import check_refusal
from tests.lifecycle.asking import MODEL, Asking, upload_of, write_versions
from tests.servers import START_S, Server, serving, wait_until
from tests.workers.processes import connections, forget_connections, started, workers

NUM_WORKERS = 2


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with serving(folder, calibration_ms=1, workers=NUM_WORKERS) as server:
        yield server


@contextmanager
def each_worker(server: Server, model: str = MODEL) -> Iterator[list[Asking]]:
    """One that asks each worker, on a connection of its own."""
    forget_connections(server)
    asking = [Asking(server, model) for _ in range(NUM_WORKERS)]

    def connect() -> bool:
        for each in asking:
            each.client.close()
            each.client = httpx.Client(base_url=server.base_url, timeout=START_S)
            each.client.get("/v2/health/live")
        return set(connections(server).values()) == {1}

    try:
        wait_until(connect)
        yield asking
    finally:
        for each in asking:
            each.client.close()


def test_a_change_is_made_by_all_when_it_is_answered(folder: Path, server: Server) -> None:
    with each_worker(server) as (one, other):
        write_versions(folder, 2)
        assert one.load().status_code == 200
        assert [one.answering(), other.answering()] == ["2", "2"]
        assert other.unload().status_code == 200
        for each in (one, other):
            assert each.index()["2"] == ("UNAVAILABLE", UNLOADED)
            check_refusal(each.infer(), 404, "name", "is not loaded")
        assert one.load({"versions": "all"}).status_code == 200
        assert [one.versions(), other.versions()] == [["1", "2"]] * 2


def test_files_of_any_size_reach_all(tmp_path: Path, server: Server) -> None:
    write_versions(tmp_path / "elsewhere", 7)
    (tmp_path / "elsewhere" / MODEL / "7" / "notes.txt").write_bytes(os.urandom(2_000_000))
    files = upload_of(tmp_path / "elsewhere" / MODEL)
    with each_worker(server) as (one, other):
        assert one.load({}, **files).status_code == 200
        assert [one.answering(), other.answering()] == ["7", "7"]


def test_a_refusal_is_the_answer_and_all_serve_on(folder: Path, server: Server) -> None:
    write_versions(folder, 2)
    (folder / MODEL / "2" / GRAPH_FILE).write_bytes(b"no graph")
    with each_worker(server) as (one, other):
        response = one.load()
        check_refusal(response, 400, "", "version 2", "has 8 bytes", code="bundle_refused")
        check_refusal(other.load({"colour": 1}), 400, "parameters.config.colour")
        for each in (one, other):
            assert each.answering() == "1"
            assert each.states() == {"1": "READY", "2": "UNAVAILABLE"}
    with each_worker(server, "nobody") as (one, _):
        check_refusal(one.unload(), 404, "name", "'nobody'")


def test_changes_that_come_at_once_end_alike_everywhere(folder: Path, server: Server) -> None:
    write_versions(folder, 2)
    with each_worker(server) as asking, ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            loads = [
                pool.submit(asking[turn % 2].load, {"versions": {"specific": [1 + turn % 2]}})
                for turn in range(8)
            ]
            assert {load.result().status_code for load in loads} == {200}
            one, other = asking
            assert one.versions() == other.versions()
            assert one.answering() == other.answering() == one.versions()[0]


def test_a_worker_that_comes_in_anothers_place_makes_what_it_missed(
    folder: Path, server: Server
) -> None:
    write_versions(folder, 2)
    assert Asking(server).load({"versions": {"specific": [1]}}).status_code == 200
    write_versions(folder, 1, name="gone")
    assert Asking(server, "gone").load().status_code == 200
    assert Asking(server, "gone").unload().status_code == 200
    os.kill(workers(server)[0], signal.SIGKILL)
    wait_until(lambda: len(started(server)) == NUM_WORKERS + 1)
    with each_worker(server) as asking:
        wait_until(lambda: [each.versions() for each in asking] == [["1"], ["1"]])
    with each_worker(server, "gone") as asking:
        wait_until(lambda: {each.infer().status_code for each in asking} == {404})
