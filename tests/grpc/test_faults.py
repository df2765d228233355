"""What goes wrong for one caller stays there: leaving, lateness, a full queue, a failing graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import grpc
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from service.errors import ServiceError
from service.grpc.statuses import STATUSES
from tests.fakes import TIMEOUT_S
from tests.grpc.asking import (
    GrpcServer,
    arrays_of,
    check_error,
    message,
    serving_grpc,
    triton_inputs,
    work,
)
from tests.http.made import FAILS, OVERFLOWS, make_bundle
from tests.http.work import has_taken, outcomes, taken, units_per_second
from tests.servers import wait_until

MODEL = "made"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GrpcServer]:
    """One engine thread, one sequence a run, four places in the queue."""
    repository = tmp_path_factory.mktemp("faults") / "repository"
    make_bundle(repository, MODEL)
    with serving_grpc(
        repository,
        failures_expected=True,
        engine_threads=1,
        max_batch_size=1,
        max_queue_size=4,
        max_request_sequences=3,
    ) as server:
        yield server


@pytest.fixture(scope="module")
def second(server: GrpcServer) -> float:
    """Work that takes about a second."""
    return units_per_second(server.process, MODEL)


@contextmanager
def busy(server: GrpcServer, amount: float, *rows: int) -> Iterator[list[grpc.Future]]:
    """The engine at work for that long, with requests of so many rows behind."""
    calls = []
    before = taken(server.process, MODEL)
    for count, inputs in ((1, work(amount)), *((count, work(rows=count)) for count in rows)):
        calls.append(server.stub.ModelInfer.future(message(MODEL, inputs), timeout=TIMEOUT_S))
        before += count
        wait_until(partial(has_taken, server.process, MODEL, before))
    yield calls
    for call in calls:
        assert call.result().outputs


def ended(call: Any) -> grpc.RpcError:
    error = call.exception()
    assert isinstance(error, grpc.RpcError)
    return error


def test_every_error_has_a_status() -> None:
    kinds = [ServiceError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert len(kinds) > 10
    assert {kind.status_code for kind in kinds} <= STATUSES.keys()


def test_a_caller_that_leaves_frees_the_queue_and_is_counted(
    server: GrpcServer, second: float
) -> None:
    cancelled = outcomes(server.process, "cancelled", protocol="grpc")
    with busy(server, 2 * second):
        request = message(MODEL, work(600 * second, rows=3))
        leaving = server.stub.ModelInfer.future(request, timeout=TIMEOUT_S)
        wait_until(lambda: taken(server.process, MODEL) == 4)
        leaving.cancel()
        wait_until(lambda: taken(server.process, MODEL) == 1)
    assert outcomes(server.process, "cancelled", protocol="grpc") == cancelled + 1


def test_tritons_client_can_cancel(server: GrpcServer, second: float) -> None:
    errors = []
    with busy(server, second):
        leaving = server.client.async_infer(
            MODEL, triton_inputs(work(600 * second)), lambda result, error: errors.append(error)
        )
        wait_until(lambda: taken(server.process, MODEL) == 2)
        leaving.cancel()
        wait_until(lambda: taken(server.process, MODEL) == 1)
        wait_until(lambda: errors)
    assert errors[0].status() == "StatusCode.CANCELLED"


def test_the_rpcs_deadline_is_the_requests(server: GrpcServer, second: float) -> None:
    with busy(server, second):
        late = server.stub.ModelInfer.future(message(MODEL, work(600 * second)), timeout=0.1)
        assert ended(late).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        wait_until(lambda: taken(server.process, MODEL) == 1)


def test_a_timeout_of_microseconds_is_kept_too(server: GrpcServer, second: float) -> None:
    with busy(server, second):
        request = message(MODEL, work(600 * second))
        request.parameters["timeout"].int64_param = 50_000
        late = server.stub.ModelInfer.future(request, timeout=TIMEOUT_S)
        metadata = check_error(
            ended(late), grpc.StatusCode.DEADLINE_EXCEEDED, "", "no answer within 0.0"
        )
        assert metadata["error-code"] == "timeout"


def test_a_full_queue_refuses_at_once_and_says_when_to_come_again(
    server: GrpcServer, second: float
) -> None:
    overloaded = outcomes(server.process, "overloaded", protocol="grpc")
    with busy(server, second, 2) as calls:
        refused = ended(server.stub.ModelInfer.future(message(MODEL, work(rows=2))))
        metadata = check_error(refused, grpc.StatusCode.RESOURCE_EXHAUSTED, "", "queue of made")
        assert int(metadata["retry-after"]) >= 1
        assert metadata["error-code"] == "overloaded"
        assert not calls[0].done()
    assert outcomes(server.process, "overloaded", protocol="grpc") == overloaded + 1
    assert server.infer(message(MODEL, work(rows=2))).outputs


def test_a_graph_that_fails_fails_alone(server: GrpcServer) -> None:
    calls = [
        server.stub.ModelInfer.future(
            message(MODEL, work(kind=FAILS) if index % 2 else work()),
            metadata=[("x-request-id", f"turn-{index}")],
        )
        for index in range(4)
    ]
    for index, call in enumerate(calls):
        if index % 2:
            error = ended(call)
            metadata = check_error(error, grpc.StatusCode.INTERNAL, "", "made failed")
            assert "Gather" not in error.details()  # the cause is in the log, not in the answer
            assert metadata["x-request-id"] == f"turn-{index}"
            logged = server.process.wait_for_event("request refused", request_id=f"turn-{index}")
            assert logged["code"] == "inference_failed"
        else:
            assert arrays_of(call.result())["logits"].argmax() == 0


def test_an_answer_that_is_not_finite_is_not_sent(server: GrpcServer) -> None:
    refused = ended(server.stub.ModelInfer.future(message(MODEL, work(kind=OVERFLOWS))))
    check_error(refused, grpc.StatusCode.INVALID_ARGUMENT, "inputs[0]", "finite")


def test_the_client_of_triton_is_told_the_reason(server: GrpcServer) -> None:
    with (
        triton.InferenceServerClient(server.address) as client,
        pytest.raises(InferenceServerException) as refusal,
    ):
        client.infer("nosuch", triton_inputs(work()))
    assert refusal.value.message() == "there is no model 'nosuch'"
    assert refusal.value.status() == "StatusCode.NOT_FOUND"
