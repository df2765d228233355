"""What goes wrong for one caller stays there: leaving, lateness, a full queue, a failing graph."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import msgspec
import pytest

from tests.http.made import FAILS, FINE, OVERFLOWS, make_bundle, steps
from tests.http.payloads import infer_path, predict_path
from tests.http.refusals import check_refusal
from tests.http.scrape import Scrape
from tests.http.work import outcomes, post, taken, under_way, units_per_second
from tests.servers import Server, serving, wait_until

MODELS = ["cells", "sequences"]
"""Made models, named by the scheduler that runs them."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One engine thread, one sequence a run, four places in the queue."""
    repository = tmp_path_factory.mktemp("faults") / "repository"
    make_bundle(repository, "cells", "cells")
    make_bundle(repository, "sequences", "sequences")
    with serving(
        repository,
        failures_expected=True,
        engine_threads=1,
        max_batch_size=1,
        max_active_sequences=1,
        max_queue_size=4,
        max_request_sequences=3,
    ) as server:
        yield server


@pytest.fixture(scope="module")
def second(server: Server) -> float:
    """Work that takes about a second."""
    return units_per_second(server, "sequences")


def connection(server: Server) -> socket.socket:
    url = httpx.URL(server.base_url)
    assert url.port is not None
    return socket.create_connection((url.host, url.port), timeout=60.0)


def head(model: str, length: int) -> bytes:
    return (
        f"POST {predict_path(model)} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def is_answered(response: httpx.Response, kinds: int = 1) -> None:
    assert response.status_code == 200, response.text
    labels = [prediction["label"] for prediction in response.json()["predictions"]]
    assert labels == ["yes"] * kinds


@pytest.mark.parametrize("model", MODELS)
def test_a_client_that_leaves_does_no_harm_and_is_counted(
    server: Server, second: float, model: str
) -> None:
    cancelled = outcomes(server, "cancelled", model=model)
    answered = outcomes(server, "ok", model=model)
    # long enough for the server to see that the other is gone, which it looks for now and then
    with under_way(server, model, [steps(FINE, 3 * second)]) as (first,):
        runs = Scrape(server)("seqserve_compute_duration_seconds_count", model=model)
        body = msgspec.json.encode({"sequences": [steps(FINE, 600 * second)]})
        with connection(server) as leaving:
            leaving.sendall(head(model, len(body)) + body)
            wait_until(lambda: taken(server, model) == 2)
            with ThreadPoolExecutor(1) as pool:
                after = pool.submit(post, server, model, [steps()])
                wait_until(lambda: taken(server, model) == 3)
                leaving.close()
                wait_until(lambda: outcomes(server, "cancelled", model=model) == cancelled + 1)
                is_answered(first.result())
                is_answered(after.result())  # ten minutes later, had the other one run
    assert outcomes(server, "ok", model=model) == answered + 2
    after_s = Scrape(server)("seqserve_compute_duration_seconds_count", model=model)
    assert after_s == runs + 2
    assert taken(server, model) == 0


@pytest.mark.parametrize("model", MODELS)
def test_a_client_that_leaves_while_it_sends_is_no_failure(server: Server, model: str) -> None:
    cancelled = outcomes(server, "cancelled", model=model)
    with connection(server) as leaving:
        leaving.sendall(head(model, 1_000) + b'{"sequences": [')
    wait_until(lambda: outcomes(server, "cancelled", model=model) == cancelled + 1)
    assert outcomes(server, "internal") == 0
    is_answered(post(server, model, [steps()]))


@pytest.mark.parametrize("model", MODELS)
def test_a_deadline_is_kept_and_frees_the_queue(server: Server, second: float, model: str) -> None:
    timeouts = outcomes(server, "timeout", model=model)
    with under_way(server, model, [steps(FINE, 2 * second)]) as (first,):
        late = post(server, model, [steps(FINE, 600 * second)] * 3, timeout_s=0.05)
        check_refusal(late, 504, "")
        assert not first.done()
        is_answered(post(server, model, [steps()] * 2), 2)  # the places are free again
        is_answered(first.result())
    assert outcomes(server, "timeout", model=model) == timeouts + 1


def test_a_deadline_shorter_than_any_answer(server: Server) -> None:
    for timeout_s in (1e-9, 1e-300):
        check_refusal(post(server, "cells", [steps()], timeout_s=timeout_s), 504, "")
    is_answered(post(server, "cells", [steps()]))


def test_a_deadline_of_microseconds_on_v2(server: Server, second: float) -> None:
    with under_way(server, "sequences", [steps(FINE, second)]):
        tensor = {"name": "inputs", "shape": [1, 1, 2], "datatype": "FP32", "data": [1, 0]}
        body = {"inputs": [tensor], "parameters": {"timeout": 50_000}}
        check_refusal(server.client.post(infer_path("sequences"), json=body), 504, "")


@pytest.mark.parametrize("model", MODELS)
def test_a_full_queue_refuses_at_once_and_later_takes_again(
    server: Server, second: float, model: str
) -> None:
    overloaded = outcomes(server, "overloaded", model=model)
    with under_way(server, model, [steps(FINE, second)], [steps()] * 2) as answers:
        # three of four places are taken, by those who wait and who runs
        refused = post(server, model, [steps()] * 2)
        check_refusal(refused, 429, "", f"queue of {model}", "2 sequences", "1 of 4")
        assert int(refused.headers["Retry-After"]) >= 1
        assert not answers[0].done()
        is_answered(post(server, model, [steps()]))
        is_answered(answers[0].result())
        is_answered(answers[1].result(), 2)
    assert outcomes(server, "overloaded", model=model) == overloaded + 1


def test_each_model_has_a_queue_of_its_own(server: Server, second: float) -> None:
    with under_way(server, "cells", [steps(FINE, second)], [steps()] * 3):
        assert post(server, "cells", [steps()]).status_code == 429
        # taking it away from its balancer would only press the others
        assert server.client.get("/v2/health/ready").status_code == 200
        with under_way(server, "sequences", [steps()] * 3, [steps()]) as (elsewhere, _):
            assert post(server, "sequences", [steps()]).status_code == 429
        is_answered(elsewhere.result(), 3)


@pytest.mark.parametrize("model", MODELS)
def test_a_graph_that_fails_fails_alone(server: Server, model: str) -> None:
    failed = outcomes(server, "inference_failed", model=model)
    requests = [[steps()], [steps(FAILS)], [steps()] * 3, [steps(), steps(FAILS)], [steps()]]
    for request in requests:
        response = post(server, model, request)
        if steps(FAILS) in request:
            check_refusal(response, 500, "", model, code="inference_failed")
            assert "Gather" not in response.text  # the cause is in the log, not in the answer
            request_id = response.headers["X-Request-ID"]
            logged = server.wait_for_event("request refused", request_id=request_id)
            assert logged["code"] == "inference_failed"
        else:
            is_answered(response, len(request))
    assert outcomes(server, "inference_failed", model=model) == failed + 2
    assert "Gather" in server.wait_for_event("batch failed", model=model)["exception"]
    assert taken(server, model) == 0


@pytest.mark.parametrize("model", MODELS)
def test_a_failing_request_leaves_those_beside_it_answered(
    server: Server, second: float, model: str
) -> None:
    beside = [[steps()], [steps(FAILS)], [steps()]]
    with under_way(server, model, [steps(FINE, second)]) as (first,):
        with under_way(server, model, *beside) as answers:
            assert not first.done()
        is_answered(answers[0].result())
        check_refusal(answers[1].result(), 500, "", code="inference_failed")
        is_answered(answers[2].result())
        is_answered(first.result())


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_that_is_not_finite_is_not_sent(server: Server, model: str) -> None:
    refused = post(server, model, [steps(), steps(OVERFLOWS)])
    check_refusal(refused, 422, "sequences[1]", "sequences[1]", "finite")
    is_answered(post(server, model, [steps()]))
