"""What is refused, what comes too late, and who leaves: before the first token and after."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.generation.asking import MODELS, events_of, streamed, streaming, text
from tests.http.refusals import check_refusal
from tests.http.scrape import Scrape
from tests.servers import Server, serving, wait_until

MODEL = MODELS[0]
PATH = f"/v1/models/{MODEL}/generate"
LONG = 4_000  # tokens: seconds of work


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"temperature": -0.1}, 422, "temperature"),
        ({"temperature": 1e9}, 422, "temperature"),
        ({"temperature": "hot"}, 400, "temperature"),
        ({"top_k": -1}, 422, "top_k"),
        ({"top_p": 0}, 422, "top_p"),
        ({"top_p": 1.1}, 422, "top_p"),
        ({"seed": -1}, 422, "seed"),
        ({"seed": 2**64}, 422, "seed"),
        ({"logprobs": 21}, 422, "logprobs"),
        ({"logprobs": 9, "prompts": ["a"] * 20, "max_tokens": LONG}, 422, "logprobs"),
        ({"max_tokens": 0}, 422, "max_tokens"),
        ({"max_tokens": 10**9}, 422, "prompts"),
        ({"prompts": ["a", "b" * 5_000]}, 422, "prompts[1]"),
        ({"prompts": []}, 422, "prompts"),
        ({"prompts": "", "score": True, "max_tokens": 0}, 422, "prompts"),
        ({"prompts": [7]}, 400, "prompts[0]"),
        ({"stop": ""}, 422, "stop"),
        ({"stop": ["a", "b" * 201]}, 422, "stop[1]"),
        ({"stop": ["a"] * 17}, 422, "stop"),
        ({"timeout_s": 0}, 400, "timeout_s"),
        ({"precision": "int8"}, 400, "precision"),
        ({"beam": 2}, 400, "beam"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_bad_options_are_named(
    server: Server, changes: dict[str, Any], status: int, field: str, stream: bool
) -> None:
    response = server.client.post(PATH, json={"prompts": "ROMEO:", "stream": stream, **changes})
    check_refusal(response, status, field)


def test_other_content_is_refused(server: Server) -> None:
    response = server.client.post(
        PATH, content=b"prompts=a", headers={"content-type": "text/plain"}
    )
    check_refusal(response, 415, "Content-Type")
    response = server.client.post("/v1/models/none/generate", json={"prompts": "a"})
    assert response.status_code == 404


@pytest.fixture
def small(repository: Path) -> Iterator[Server]:
    """One engine thread, two texts at a time, two places in the queue."""
    with serving(
        repository,
        engine_threads=1,
        max_active_sequences=2,
        max_queue_size=2,
        max_request_sequences=2,
    ) as server:
        yield server


def active(server: Server) -> float:
    return Scrape(server)("seqserve_active_sequences", model=MODEL)


def test_a_deadline_ends_a_stream_with_an_error(server: Server) -> None:
    body = {"prompts": "ROMEO:", "stream": True, "max_tokens": LONG, "timeout_s": 0.2}
    with streaming(server, PATH, body) as events:
        told = list(events)
    assert {name for name, _ in told[:-1]} == {"message"}
    name, said = told[-1]
    assert (name, said["code"]) == ("error", "timeout")
    response = server.client.post(PATH, json={**body, "timeout_s": 1e-4})
    check_refusal(response, 504, "")
    wait_until(lambda: active(server) == 0)


def test_a_client_that_leaves_a_stream_frees_its_rows(server: Server) -> None:
    asked = {"max_tokens": 40, "seed": 4}
    alone = text(server, MODEL, "JULIET:", **asked)
    counted = Scrape(server)("seqserve_requests_total", model=MODEL, outcome="cancelled")
    body = {"prompts": ["ROMEO:", "x"], "stream": True, "max_tokens": LONG}
    with streaming(server, PATH, body) as events:
        next(events)
        assert active(server) >= 1
        assert text(server, MODEL, "JULIET:", **asked) == alone
    wait_until(lambda: active(server) == 0, 10)
    assert text(server, MODEL, "JULIET:", **asked) == alone
    after = Scrape(server)("seqserve_requests_total", model=MODEL, outcome="cancelled")
    assert after == counted + 1


def test_a_client_that_leaves_before_the_first_token_frees_its_place(server: Server) -> None:
    url = httpx.URL(server.base_url)
    assert url.port is not None
    body = b'{"prompts": "ROMEO:", "max_tokens": 4000}'
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((url.host, url.port), timeout=60) as leaving:
        leaving.sendall(head.encode() + body)
        wait_until(lambda: active(server) == 1)
    wait_until(lambda: active(server) == 0, 10)


def test_too_many_are_refused_and_those_under_way_go_on(small: Server) -> None:
    body = {"prompts": "ROMEO:", "max_tokens": LONG, "seed": 1, "stream": True}

    def ask(_: int) -> str:
        with small.client.stream("POST", PATH, json=body) as response:
            if response.status_code == 200:
                return "".join(said["text"] for _, said in events_of(response))
            response.read()
        check_refusal(response, 429, "")
        assert int(response.headers["retry-after"]) >= 1
        return ""

    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(ask, range(12)))
    assert 1 <= sum(map(bool, found)) < 12
    (told,) = {each for each in found if each}
    assert len(told) == LONG


def test_a_server_that_stops_lets_streams_end(small: Server) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(streamed, small, MODEL, "ROMEO:", max_tokens=1_500)
        wait_until(lambda: active(small) == 1)
        small.terminate()
        (pieces,), (end,) = running.result()
    assert end["finish_reason"] == "length"
    assert len("".join(pieces)) == 1_500
    assert small.wait() == 0


def test_a_stream_that_outlasts_the_time_to_stop_ends_with_an_error(repository: Path) -> None:
    body = {"prompts": ["ROMEO:"] * 256, "max_tokens": LONG, "stream": True}
    with serving(repository, engine_threads=1, shutdown_timeout_s=1) as server:
        with streaming(server, PATH, body) as events:
            next(events)
            server.terminate()
            *_, (name, said) = events
        assert (name, said["code"]) == ("error", "draining")
        assert server.wait() == 0
