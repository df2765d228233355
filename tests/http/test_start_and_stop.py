"""Alive before it is ready, and gone only when those who were let in are answered."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from tests.faults.preload import HungStorage, environment
from tests.http.made import FINE, copy_bundle, make_bundle, steps
from tests.http.payloads import frames, predict_body, predict_path
from tests.http.refusals import check_refusal, check_serving
from tests.http.work import under_way, units_per_second
from tests.servers import CHECKOUT, STOP_S, serving, wait_until


@pytest.fixture
def made(tmp_path: Path) -> Path:
    make_bundle(tmp_path / "repository")
    return tmp_path / "repository"


@contextmanager
def gated(folder: Path) -> Iterator[HungStorage]:
    """For servers that start meanwhile: a bundle whose graph is read once the storage answers."""
    with TemporaryDirectory() as name:
        storage = HungStorage(Path(name), folder / "model.onnx")
        storage.hang()
        with environment(**storage.variables):
            yield storage


def test_alive_while_loading_and_ready_when_all_is_loaded(tmp_path: Path) -> None:
    copy_bundle("digits-gru", tmp_path)
    folder = copy_bundle("digits-lstm", tmp_path)  # loaded after the other one, by name
    with gated(folder) as storage, serving(tmp_path, ready=False) as server:
        client = server.client
        assert client.get("/v2/health/live").json() == {"live": True}
        wait_until(lambda: client.get("/v2/models/digits-gru/ready").status_code == 200)
        ready = client.get("/v2/health/ready")
        assert (ready.status_code, ready.json()) == (503, {"ready": False})
        check_serving(client, "digits-gru")
        early = client.post(predict_path(), json=predict_body(frames(3)))
        check_refusal(early, 503, "name", "still loading", code="model_not_ready")
        assert int(early.headers["Retry-After"]) >= 1
        index = {entry["name"]: entry for entry in client.post("/v2/repository/index").json()}
        assert index["digits-lstm"]["state"] == "LOADING"
        assert [m["name"] for m in client.get("/v1/models").json()["models"]] == ["digits-gru"]
        storage.answer()
        server.wait_ready()
        check_serving(client, "digits-lstm")


def test_a_stop_while_loading_is_clean(tmp_path: Path) -> None:
    folder = copy_bundle("digits-lstm", tmp_path)
    with gated(folder) as storage, serving(tmp_path, ready=False) as server:
        assert server.client.get("/v2/health/live").status_code == 200
        server.terminate()
        server.wait_for_event("Shutting down")
        storage.answer()
        assert server.wait() == 0


def test_requests_in_flight_are_answered_before_the_end(made: Path) -> None:
    with serving(made, engine_threads=1, max_batch_size=1) as server:
        second = units_per_second(server, "made")
        waiting = [[steps()] * 3, [steps(FINE, second / 10)], [steps()]]
        with under_way(server, "made", [steps(FINE, second)], *waiting) as answers:
            server.terminate()
            server.wait_for_event("Shutting down")
            assert not answers[0].done()
            with pytest.raises(httpx.ConnectError):
                wait_until(lambda: httpx.get(server.base_url + "/v2/health/live") is None)
            for answer in answers:
                assert answer.result().status_code == 200
        assert server.wait() == 0


def test_before_it_stops_it_says_so_and_still_serves(made: Path) -> None:
    copy_bundle("digits-lstm", made)
    with serving(made, drain_delay_s=1.5) as server:
        statuses: list[int] = []
        said_so = threading.Event()

        def load() -> None:
            """A client behind a balancer that heeds readiness."""
            while not said_so.is_set():
                body = predict_body(frames(200), frames(3))
                response = httpx.post(server.base_url + predict_path(), json=body, timeout=60.0)
                statuses.append(response.status_code)

        with ThreadPoolExecutor(4) as pool:
            clients = [pool.submit(load) for _ in range(4)]
            wait_until(lambda: len(statuses) >= 8)
            server.terminate()
            server.wait_for_event("draining")
            ready = server.client.get("/v2/health/ready")
            assert (ready.status_code, ready.json()) == (503, {"ready": False})
            assert server.client.get("/v2/health/live").status_code == 200
            check_serving(server.client)
            said_so.set()
            for client in clients:
                client.result()
        assert set(statuses) == {200}
        assert server.wait() == 0


def test_a_second_signal_ends_the_wait(made: Path) -> None:
    with serving(made, drain_delay_s=600) as server:
        server.terminate()
        server.wait_for_event("draining")
        assert server.process.poll() is None
        server.terminate()
        assert server.wait() == 0


def test_control_c_is_a_clean_end_too(made: Path) -> None:
    with serving(made, drain_delay_s=600) as server:
        server.process.send_signal(signal.SIGINT)
        assert server.wait() == 0


def test_what_outlasts_the_time_to_shut_down_is_told_so(made: Path) -> None:
    with serving(made, shutdown_timeout_s=1, engine_threads=1, max_batch_size=1) as server:
        second = units_per_second(server, "made")
        # a minute of work, but no run of it is long
        with under_way(server, "made", [steps(FINE, second / 4)] * 256) as (answer,):
            server.terminate()
            assert server.wait() == 0
            check_refusal(answer.result(), 503, "", "stopped", code="draining")
            assert int(answer.result().headers["Retry-After"]) >= 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "70000"),
        ("max_batch_size", "0"),
        ("request_timeout_s", "nan"),
        ("log_level", "loud"),
        ("repository", "no/such/folder"),
    ],
)
def test_a_bad_setting_stops_the_start_and_is_named(name: str, value: str) -> None:
    flag = "--" + name.replace("_", "-")
    ended = subprocess.run(
        [sys.executable, "-m", "service", "--port", "0", flag, value],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=STOP_S,
        check=False,
    )
    assert ended.returncode == 2
    assert name in ended.stderr
    assert "Traceback" not in ended.stderr
