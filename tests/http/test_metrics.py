"""Every request and every cell is counted once, under names that only the server chooses."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http.made import FINE, copy_bundle, make_bundle, steps
from tests.http.payloads import JSON, frames, infer_body, infer_path, predict_body, predict_path
from tests.http.scrape import Scrape
from tests.http.work import taken, under_way, units_per_second
from tests.servers import Server, serving, wait_until

LSTM, TRANSFORMER = "digits-lstm", "digits-transformer"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("metrics") / "repository"
    make_bundle(repository)
    copy_bundle(LSTM, repository)
    copy_bundle(TRANSFORMER, repository)
    return repository


@pytest.fixture
def server(repository: Path) -> Iterator[Server]:
    """A server that nothing was asked yet."""
    with serving(repository, engine_threads=1) as server:
        yield server


def test_known_requests_are_counted_as_what_they_are(server: Server) -> None:
    client = server.client
    client.post(predict_path(LSTM), json=predict_body(frames(5))).raise_for_status()
    client.post(predict_path(LSTM), json=predict_body(frames(20), frames(3))).raise_for_status()
    client.post(infer_path(LSTM), json=infer_body(frames(7))).raise_for_status()
    client.post(predict_path(TRANSFORMER), json=predict_body(frames(9))).raise_for_status()
    assert client.post(predict_path(LSTM), json={"sequences": [[]]}).status_code == 422
    assert client.post(infer_path(LSTM), content=b"{", headers=JSON).status_code == 400
    assert client.post(predict_path(LSTM), content=b"").status_code == 415
    after = Scrape(server)

    wanted = {
        (LSTM, "v1", "ok"): 2,
        (LSTM, "v2", "ok"): 1,
        (LSTM, "v1", "invalid_sequence"): 1,
        (LSTM, "v2", "invalid_request"): 1,
        (LSTM, "v1", "unsupported_media_type"): 1,
        (TRANSFORMER, "v1", "ok"): 1,
    }
    for (model, protocol, outcome), count in wanted.items():
        labels = {"model": model, "version": "1", "protocol": protocol, "outcome": outcome}
        assert after("seqserve_requests_total", **labels) == count, labels
        assert after("seqserve_request_duration_seconds_count", **labels) == count, labels
        assert 0 < after("seqserve_request_duration_seconds_sum", **labels) < 60
    assert after("seqserve_requests_total") == sum(wanted.values())

    # real cells are the steps that were sent, and every sequence waited once
    assert after("seqserve_cells_total", model=LSTM, kind="real") == 5 + 20 + 3 + 7
    assert after("seqserve_cells_total", model=TRANSFORMER, kind="real") == 9
    assert after("seqserve_cells_total", model=TRANSFORMER, kind="padded") == 0
    assert after("seqserve_queue_duration_seconds_count", model=LSTM) == 4
    assert after("seqserve_queue_duration_seconds_count", model=TRANSFORMER) == 1
    # how the cost model cuts them is its business; that the counts agree is not
    runs = after("seqserve_compute_duration_seconds_count", model=LSTM)
    assert runs == after("seqserve_batch_size_count", model=LSTM) >= 3
    assert after("seqserve_batch_size_sum", model=LSTM) >= 4
    assert after("seqserve_predicted_compute_seconds_total", model=LSTM) > 0
    assert after("seqserve_batch_size_count", model=TRANSFORMER) == 1
    assert after("seqserve_compute_duration_seconds_sum", model=LSTM) > 0
    for model in (LSTM, TRANSFORMER):
        assert taken(server, model) == 0


def test_padding_is_counted_for_what_it_is(server: Server) -> None:
    second = units_per_second(server, "made")
    before = Scrape(server)
    with under_way(server, "made", [steps(FINE, second)], [steps(FINE, 0, n) for n in (4, 5, 5)]):
        pass
    after = Scrape(server)

    def difference(name: str, **labels: str) -> float:
        return after(name, model="made", **labels) - before(name, model="made", **labels)

    # those who waited ran as one batch of 3 x 5
    assert difference("seqserve_batch_size_count") == 2
    assert difference("seqserve_batch_size_sum") == 4
    assert difference("seqserve_cells_total", kind="real") == 1 + 4 + 5 + 5
    assert difference("seqserve_cells_total", kind="padded") == 1
    waited_s = difference("seqserve_queue_duration_seconds_sum")
    computed_s = difference("seqserve_compute_duration_seconds_sum")
    assert 0 < waited_s < 3 * computed_s


def test_the_loop_is_asked_for_its_lag_time_and_again(server: Server) -> None:
    wait_until(lambda: Scrape(server)("seqserve_loop_lag_seconds_count") > 3)
    assert 0 < Scrape(server)("seqserve_loop_lag_seconds_sum") < 60


def test_load_shows_while_it_is_there(server: Server) -> None:
    second = units_per_second(server, "made")
    with under_way(server, "made", [steps(FINE, second)], [steps()] * 3):
        during = Scrape(server)
    assert during("seqserve_active_sequences", model="made") == 1
    assert during("seqserve_queue_depth", model="made") == 3
    assert during("seqserve_queue_depth", model=LSTM) == 0
    assert taken(server, "made") == 0


def test_models_and_the_process_are_described(server: Server) -> None:
    content_type = server.client.get("/metrics").headers["content-type"]
    assert content_type.startswith("text/plain; version=")
    scrape = Scrape(server)
    for model, family, batching in (
        (LSTM, "lstm", "cells"),
        (TRANSFORMER, "transformer", "sequences"),
        ("made", "made", "sequences"),
    ):
        labels = {"model": model, "version": "1", "family": family, "batching": batching}
        precision = {"task": "classification", "precision": "fp32"}
        assert scrape("seqserve_model_info", **precision, **labels) == 1
        assert 0 < scrape("seqserve_model_load_seconds", model=model, version="1") < 60
    assert scrape("seqserve_model_load_failures_total") == 0
    assert scrape("process_resident_memory_bytes") > 1e6
    assert "python_info" in scrape.names()


def test_what_strangers_send_never_becomes_a_label(server: Server) -> None:
    strange = "x-very-strange-name"
    for path in (predict_path(strange), infer_path(strange), f"/v2/models/{strange}/infer"):
        assert server.client.post(path, json={}).status_code == 404
    version = f"/v2/models/{LSTM}/versions/{strange}/infer"
    assert server.client.post(version, json={}).status_code == 404
    assert server.client.get(f"/{strange}").status_code == 404
    scrape = Scrape(server)
    assert strange not in scrape.text
    assert scrape("seqserve_requests_total", model="", outcome="model_not_found") == 4
    assert scrape.label_values("model") == {"", LSTM, TRANSFORMER, "made"}


def test_a_queue_says_how_full_it_is(repository: Path) -> None:
    with serving(repository, engine_threads=1, max_queue_size=4, max_request_sequences=3) as server:
        second = units_per_second(server, "made")
        with under_way(server, "made", [steps(FINE, second)], [steps()] * 2):
            during = Scrape(server)
        assert during("seqserve_queue_fill_ratio", model="made") == 3 / 4
        assert taken(server, "made") == 0
        assert Scrape(server)("seqserve_queue_fill_ratio", model="made") == 0


def test_readiness_and_what_is_refused_are_told(repository: Path, tmp_path: Path) -> None:
    copy_bundle(LSTM, tmp_path)
    broken = copy_bundle(TRANSFORMER, tmp_path)
    (broken / "model.onnx").write_bytes(b"no graph")
    with serving(tmp_path, ready=False, engine_threads=1) as server:
        server.wait_for_event("model refused")
        server.wait_for_event("model ready")
        refused = {"model": TRANSFORMER, "version": "1"}
        wait_until(lambda: Scrape(server)("seqserve_model_refused", **refused) == 1)
        assert Scrape(server)("seqserve_model_refused") == 1
        assert Scrape(server)("seqserve_ready") == 0
        shutil.copy(repository / TRANSFORMER / "1" / "model.onnx", broken / "model.onnx")
        load = server.client.post(f"/v2/repository/models/{TRANSFORMER}/load", json={})
        load.raise_for_status()
        assert Scrape(server)("seqserve_model_refused", **refused) == 0
        assert Scrape(server)("seqserve_ready") == 1
