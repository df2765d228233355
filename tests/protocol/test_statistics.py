"""The statistics extension: what is counted agrees with what was asked, to the last request."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.http.payloads import frames, infer_body
from tests.http.refusals import check_refusal
from tests.protocol.asking import described, infer
from tests.protocol.made import LABELLED
from tests.servers import Server, serving, wait_until

STAGES = ("compute_input", "queue", "compute_infer", "compute_output")


@pytest.fixture
def own(repository: Path) -> Iterator[Server]:
    """A server that nobody asks but one test."""
    with serving(repository) as server:
        yield server


def statistics_of(client: httpx.Client, model: str, version: str = "") -> dict[str, Any]:
    (found,) = client.get(f"/v2/models/{model}{version}/stats").json()["model_stats"]
    return dict(found)


def ask_rows(client: httpx.Client, num_rows: int) -> None:
    tensor, _ = described("x", np.ones((num_rows, 3), np.float32), "FP32", binary=False)
    assert infer(client, "rows", {"inputs": [tensor]}).status_code == 200


def check_times(found: dict[str, Any]) -> None:
    """Fail unless the stages make up the whole of each request."""
    stats = found["inference_stats"]
    assert all(duration["ns"] >= 0 for duration in stats.values())
    assert all(stats[stage]["count"] == stats["success"]["count"] for stage in STAGES)
    whole_ns = sum(stats[stage]["ns"] for stage in STAGES)
    assert whole_ns == pytest.approx(stats["success"]["ns"], abs=1_000)
    assert (
        sum(batch["compute_infer"]["count"] for batch in found["batch_stats"])
        == (found["execution_count"])
    )


def test_nothing_is_counted_before_the_first_request(own: Server) -> None:
    found = statistics_of(own.client, "rows")
    assert (found["last_inference"], found["inference_count"], found["execution_count"]) == (0,) * 3
    assert {duration["count"] for duration in found["inference_stats"].values()} == {0}
    assert found["batch_stats"] == found["memory_usage"] == []


def test_requests_rows_runs_and_failures_are_counted(own: Server) -> None:
    client = own.client
    before_ms = 1_000 * time.time()
    for num_rows in (1, 2, 2, 5):
        ask_rows(client, num_rows)
    bad, _ = described("x", np.ones((1, 4), np.float32), "FP32", binary=False)
    for _ in range(3):
        assert infer(client, "rows", {"inputs": [bad]}).status_code == 400
    found = statistics_of(client, "rows")
    assert found["inference_stats"]["success"]["count"] == 4
    assert found["inference_stats"]["fail"]["count"] == 3
    assert found["inference_count"] == 10
    assert found["execution_count"] == 4  # one after the other: none runs with another
    sizes = {it["batch_size"]: it["compute_infer"]["count"] for it in found["batch_stats"]}
    assert sizes == {1: 1, 2: 2, 5: 1}
    assert before_ms - 1_000 < found["last_inference"] < before_ms + 60_000
    check_times(found)


def test_requests_known_by_heart_count_like_others(own: Server) -> None:
    client = own.client
    for _ in range(20):
        body = infer_body(frames(5), frames(3))
        assert client.post(f"/v2/models/{LABELLED}/infer", json=body).status_code == 200
    found = statistics_of(client, LABELLED, "/versions/1")
    assert found["inference_stats"]["success"]["count"] == 20
    assert found["inference_count"] == 40
    check_times(found)


def test_counts_agree_however_many_ask_at_a_time(own: Server) -> None:
    def ask(turn: int) -> int:
        rows = 1 + turn % 3
        body = infer_body(*(frames(5 + 40 * (turn % 2), seed) for seed in range(rows)))
        answer = own.client.post(f"/v2/models/{LABELLED}/infer", json=body)
        assert answer.status_code == 200
        return rows

    with ThreadPoolExecutor(8) as pool:
        rows = sum(pool.map(ask, range(60)))
        list(pool.map(lambda _: ask_rows(own.client, 2), range(20)))
    found = statistics_of(own.client, LABELLED)
    assert found["inference_stats"]["success"]["count"] == 60
    assert found["inference_count"] == rows
    check_times(found)
    found = statistics_of(own.client, "rows")
    assert found["inference_stats"]["success"]["count"] == 20
    assert found["inference_count"] == 40
    ran = sum(it["batch_size"] * it["compute_infer"]["count"] for it in found["batch_stats"])
    assert ran == 40
    check_times(found)


def test_the_cache_s_answers_are_told_apart(repository: Path) -> None:
    with serving(repository, cache_bytes=1 << 20) as server:
        for _ in range(5):
            ask_rows(server.client, 2)
        found = statistics_of(server.client, "rows")
        stats = found["inference_stats"]
        assert stats["success"]["count"] == 5
        assert (stats["cache_hit"]["count"], stats["cache_miss"]["count"]) == (4, 1)
        assert stats["cache_hit"]["ns"] > 0
        assert (found["inference_count"], found["execution_count"]) == (2, 1)
        assert stats["compute_infer"]["count"] == 1


def test_a_model_that_is_loaded_anew_begins_anew(own: Server) -> None:
    ask_rows(own.client, 2)
    assert own.client.post("/v2/repository/models/rows/load").status_code == 200
    wait_until(lambda: statistics_of(own.client, "rows")["inference_count"] == 0)
    ask_rows(own.client, 3)
    found = statistics_of(own.client, "rows")
    assert found["inference_stats"]["success"]["count"] == 1
    assert (found["inference_count"], found["execution_count"]) == (3, 1)
    check_times(found)


def test_every_model_is_in_the_whole(client: httpx.Client) -> None:
    everything = client.get("/v2/models/stats").json()["model_stats"]
    ready = client.post("/v2/repository/index", json={"ready": True}).json()
    assert [it["name"] for it in everything] == [it["name"] for it in ready]


def test_an_unknown_model_has_none(client: httpx.Client) -> None:
    check_refusal(client.get("/v2/models/nosuch/stats"), 404, "name", "nosuch")
    check_refusal(client.get("/v2/models/rows/versions/9/stats"), 404, "version", "'9'")
