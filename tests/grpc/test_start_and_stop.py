"""On only where it is asked for, and gone only when those who were let in are answered."""

from __future__ import annotations

import queue
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
from tritonclient.grpc.service_pb2 import ModelInferRequest

from service.grpc.port import ReservedPort
from tests.fakes import TIMEOUT_S
from tests.grpc.asking import GrpcServer, check_error, message, serving_grpc, work
from tests.http.made import make_bundle
from tests.http.scrape import Scrape
from tests.http.work import has_taken, taken, units_per_second
from tests.servers import CHECKOUT, STOP_S, serving, wait_until
from tests.workers.processes import workers

WITHOUT = """
import sys
sys.modules |= dict.fromkeys(["grpc", "grpc_health", "grpc_reflection", "tritonclient", "google"])
import service.__main__, service.app, service.serving, service.workers.worker
sys.argv = ["service", *sys.argv[1:]]
sys.exit(service.__main__.main())
"""


@pytest.fixture
def made(tmp_path: Path) -> Path:
    make_bundle(tmp_path / "repository")
    return tmp_path / "repository"


def start(server: GrpcServer, amount: float, count: int = 1) -> list[Any]:
    """Requests that the server has taken; the first is so much work, the others wait behind it."""
    calls: list[Any] = []
    for wanted in range(1, count + 1):
        inputs = work() if calls else work(amount)
        calls.append(server.stub.ModelInfer.future(message("made", inputs)))
        wait_until(partial(has_taken, server.process, "made", wanted))
    return calls


def test_it_is_off_unless_asked_for(made: Path) -> None:
    with serving(made) as server:
        assert "gRPC" not in server.log


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=CHECKOUT, capture_output=True, text=True, timeout=STOP_S, check=False
    )


def test_the_service_needs_no_grpc_where_it_is_off() -> None:
    ended = run("-c", WITHOUT, "--help")
    assert ended.returncode == 0, ended.stderr
    assert "--grpc-port" in ended.stdout


def test_a_port_for_what_is_not_installed_stops_the_start() -> None:
    ended = run("-c", WITHOUT, "--grpc-port", "0")
    assert ended.returncode == 2
    assert "grpc_port" in ended.stderr
    assert "pip install 'seqserve[grpc]'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_http_and_grpc_need_a_port_each() -> None:
    ended = run("-m", "service", "--port", "8765", "--grpc-port", "8765")
    assert ended.returncode == 2
    assert "port and grpc_port are both 8765" in ended.stderr


@pytest.mark.parametrize("host", ["localhost", "::1", "0.0.0.0"])
def test_it_listens_where_http_does(host: str) -> None:
    with ReservedPort(host, 0) as port:
        assert port.number is not None
        with pytest.raises(OSError, match="in use"):
            ReservedPort(host, port.number)
    with serving_grpc(host=host, ready=False) as server:
        assert server.client.is_server_live()


@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize("shares", [False, True])
def test_a_port_that_is_taken_stops_the_start(num_workers: int, shares: bool) -> None:
    with socket.socket() as taken_port:
        if shares:  # as gRPC's own servers do
            taken_port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken_port.bind(("127.0.0.1", 0))
        taken_port.listen()
        number = str(taken_port.getsockname()[1])
        flags = ("--port", "0", "--workers", str(num_workers), "--grpc-port", number)
        ended = run("-m", "service", *flags)
    assert ended.returncode == 3
    assert "is in use" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_requests_in_flight_are_answered_before_the_end(made: Path) -> None:
    with serving_grpc(made, engine_threads=1, max_batch_size=1) as server:
        second = units_per_second(server.process, "made")
        calls = start(server, second, 4)
        watched = HealthStub(server.channel).Watch(HealthCheckRequest(), timeout=TIMEOUT_S)
        next(watched)  # it keeps its RPC open: the end does not wait for it
        server.process.terminate()
        server.process.wait_for_event("Shutting down")
        for call in calls:
            assert call.result(TIMEOUT_S).outputs
        assert server.process.wait() == 0


def test_a_stream_is_answered_and_ended_before_the_end(made: Path) -> None:
    with serving_grpc(made, engine_threads=1, max_batch_size=1) as server:
        second = units_per_second(server.process, "made")
        requests: queue.Queue[ModelInferRequest | None] = queue.Queue()
        stream = server.stub.ModelStreamInfer(iter(requests.get, None), timeout=TIMEOUT_S)
        requests.put(message("made", work(second / 2), id="last"))
        wait_until(lambda: taken(server.process, "made") == 1)
        server.process.terminate()
        assert next(stream).infer_response.id == "last"
        with pytest.raises(grpc.RpcError) as stopped:
            next(stream)
        metadata = check_error(stopped.value, grpc.StatusCode.UNAVAILABLE, "", "stopping")
        assert metadata["error-code"] == "draining"
        requests.put(None)
        assert server.process.wait() == 0


def test_what_outlasts_the_time_to_shut_down_is_told_so(made: Path) -> None:
    options = {"shutdown_timeout_s": 1, "engine_threads": 1, "max_batch_size": 1}
    with serving_grpc(made, **options) as server:
        second = units_per_second(server.process, "made")
        # a minute of work, but no run of it is long
        request = message("made", work(second / 4, rows=256))
        call = server.stub.ModelInfer.future(request)
        streamed = server.stub.ModelStreamInfer(iter([request]), timeout=TIMEOUT_S)
        wait_until(lambda: taken(server.process, "made") >= 500)
        server.process.terminate()
        assert "stopped" in next(streamed).error_message
        error = call.exception(TIMEOUT_S)
        metadata = check_error(error, grpc.StatusCode.UNAVAILABLE, "", "stopped")
        assert int(metadata["retry-after"]) >= 1
        assert server.process.wait() == 0


def test_control_c_is_a_clean_end_too(made: Path) -> None:
    with serving_grpc(made, drain_delay_s=600) as server:
        assert server.infer(message("made", work())).outputs
        server.process.process.send_signal(signal.SIGINT)
        assert server.process.wait() == 0


def test_every_worker_serves_grpc_on_one_port(made: Path) -> None:
    with serving_grpc(made, workers=2, access_log=True) as server:
        started = {
            server.process.wait_for_event("gRPC started", worker=index)["address"]
            for index in workers(server.process)
        }
        assert started == {server.address}
        for _ in range(40):  # by chance all on one worker: once in 10**12 times
            assert server.infer(message("made", work())).outputs
            server.close()  # the next one is another connection
        for index in workers(server.process):
            server.process.wait_for_event("request", worker=index, method="gRPC")
        labels = {"protocol": "grpc", "outcome": "ok"}
        wait_until(lambda: Scrape(server.process)("seqserve_requests_total", **labels) == 40)
        # what another worker has under way is seen within a second
        (call,) = start(server, 3 * units_per_second(server.process, "made"))
        server.process.terminate()
        assert call.result(TIMEOUT_S).outputs
        assert server.process.wait() == 0
