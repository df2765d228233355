"""The hot routes' own lane answers as the ordinary way does, however the bytes come.

A percent sign in the path makes the same request go the ordinary way, through ASGI. Where requests
are not logged, the lane knows by heart what came before.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.http.made import FINE, make_bundle, steps
from tests.http.payloads import RECORDING, frames, infer_body, predict_body
from tests.http.raw import Answers, comparable, connect, exchange, request
from tests.http.scrape import Scrape
from tests.http.work import outcomes, taken, units_per_second
from tests.servers import Server, serving, wait_until

JSON = ("Content-Type", "application/json")
PLAIN, ORDINARY = "digits-lstm", "digits%2Dlstm"


def binary_body(**parameters: Any) -> tuple[bytes, tuple[str, str]]:
    """One sequence of three steps, and the header that says where its blob begins."""
    tensor = {
        "name": "inputs",
        "shape": [1, 3, 40],
        "datatype": "FP32",
        "parameters": {"binary_data_size": 480},
    }
    head = json.dumps({"inputs": [tensor], "parameters": parameters}).encode()
    return head + frames(3).tobytes(), ("Inference-Header-Content-Length", str(len(head)))


BINARY, LENGTH = binary_body(binary_data_output=True)
INFER, PREDICT = json.dumps(infer_body(frames(3), id="é")), json.dumps(predict_body(frames(3)))
BODIES: list[tuple[str, bytes, list[tuple[str, str]]]] = [
    ("/v2/models/{}/infer", INFER.encode(), [JSON]),
    ("/v2/models/{}/versions/1/infer", INFER.encode(), []),
    ("/v2/models/{}/versions/7/infer", INFER.encode(), [JSON]),
    ("/v2/models/{}/infer?x=%20", BINARY, [LENGTH]),
    ("/v2/models/{}/infer", BINARY + b"!", [LENGTH]),
    ("/v2/models/{}/infer", BINARY, [("Content-Type", "application/octet-stream")]),
    ("/v2/models/{}x/infer", INFER.encode(), [JSON]),
    ("/v1/models/{}/predict", PREDICT.encode(), [("content-TYPE", "application/json; a=b")]),
    ("/v1/models/{}/predict", b'{"sequences": [[[1]]]}', [JSON]),
    ("/v1/models/{}/predict", b"", [JSON]),
    ("/v1/models/{}/predict", PREDICT.encode(), []),
    ("/v1/models/{}/predict", PREDICT.encode(), [JSON, ("Content-Encoding", "gzip")]),
    ("/v1/models/{}/predict?top_k=3", RECORDING, [("Content-Type", "audio/wav")]),
    ("/v1/models/{}/predict?top_k=0", RECORDING, [("Content-Type", "audio/wav")]),
]
OTHERS: list[tuple[str, str]] = [
    ("GET", "/v2/health/live"),
    ("GET", "/v2/models/digits-lstm/infer"),
    ("POST", "/v2/models//infer"),
    ("POST", "/nosuch"),
]


@pytest.fixture(scope="module", params=[True, False], ids=["logged", "known"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serving(access_log=request.param) as server:
        yield server


@st.composite
def asked(draw: st.DrawFn) -> tuple[bytes, bytes]:
    headers = [
        ("X-Request-ID", draw(st.sampled_from(["one", "two", "a b"]))),
        ("traceparent", f"00-{draw(st.integers(0, 1 << 128)):032x}-00f067aa0ba902b7-01"),
    ]
    if draw(st.integers(0, 4)) == 0:
        method, path = draw(st.sampled_from(OTHERS))
        whole = request(path, b"{}", headers, method=method)
        return whole, whole
    path, body, own = draw(st.sampled_from(BODIES))
    chunks = draw(st.none() | st.lists(st.integers(1, 400), max_size=5))
    is_read = "/versions/7/" not in path and "{}x" not in path  # else the client is told to close
    if is_read and draw(st.integers(0, 4)) == 0:
        headers.append(("Expect", "100-continue"))
    lane, ordinary = (
        request(path.format(name), body, [*own, *headers], chunks=chunks)
        for name in (PLAIN, ORDINARY)
    )
    return lane, ordinary


@settings(deadline=None, max_examples=60)
@given(st.lists(asked(), min_size=1, max_size=6), st.lists(st.integers(0, 10_000), max_size=12))
def test_pipelined_and_cut_anywhere_as_the_ordinary_way_one_by_one(
    server: Server, wanted: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(lane for lane, _ in wanted)
    places = sorted({0, len(stream), *(cut * len(stream) // 10_000 for cut in cuts)})
    pieces = [stream[start:stop] for start, stop in pairwise(places)]
    got = exchange(server, pieces, len(wanted))
    expected = [exchange(server, [ordinary], 1)[-1] for _, ordinary in wanted]
    assert list(map(comparable, got)) == list(map(comparable, expected))


def test_the_smallest_pieces(server: Server) -> None:
    whole = request("/v2/models/digits-lstm/infer", BINARY, [LENGTH])
    (answer,) = exchange(server, [whole[i : i + 1] for i in range(len(whole))], 1)
    (expected,) = exchange(server, [whole], 1)
    assert comparable(answer) == comparable(expected)
    assert answer.status == 200


@pytest.mark.parametrize("name", [PLAIN, ORDINARY])
@pytest.mark.parametrize(("http", "header"), [("1.0", ()), ("1.1", (("Connection", "close"),))])
def test_the_connection_is_closed_where_that_is_asked(
    server: Server, name: str, http: str, header: tuple[tuple[str, str], ...]
) -> None:
    whole = request(f"/v2/models/{name}/infer", BINARY, [LENGTH, *header], http=http)
    (answer,) = exchange(server, [whole], 2)  # a second one never comes
    assert answer.status == 200
    assert answer.header(b"connection") == b"close"


@pytest.mark.parametrize("name", [PLAIN, ORDINARY])
def test_a_body_over_the_limit_is_refused_by_its_head(server: Server, name: str) -> None:
    head = request(f"/v2/models/{name}/infer", b"").replace(
        b"Content-Length: 0", b"Content-Length: 99999999"
    )
    (answer,) = exchange(server, [head], 1)
    assert answer.status == 413
    assert json.loads(answer.body)["code"] == "payload_too_large"


def test_a_body_over_the_limit_in_chunks_ends_the_request_only(server: Server) -> None:
    large = request("/v2/models/digits-lstm/infer", b" " * (17 << 20), chunks=[1 << 20] * 17)
    after = request("/v2/models/digits-lstm/infer", BINARY, [LENGTH])
    first, second = exchange(server, [large, after], 2)
    assert (first.status, second.status) == (413, 200)


def test_trailers_are_passed_over(server: Server) -> None:
    whole = request("/v2/models/digits-lstm/infer", BINARY, [LENGTH], chunks=[100])
    trailed = whole[:-2] + b"X-Request-ID: late\r\n\r\n"
    answers = exchange(server, [trailed + whole], 2)
    assert [answer.status for answer in answers] == [200, 200]
    assert b"late" not in [answer.header(b"x-request-id") for answer in answers]


def test_a_client_that_does_not_read_gets_all_of_it_later(server: Server) -> None:
    sequences = [frames(250, seed) for seed in range(3)]
    path = "/v2/models/digits-attention/infer"
    bodies = [json.dumps(infer_body(*sequences, id=str(index))).encode() for index in range(120)]
    reader = Answers()
    with connect(server) as connection:
        everything = b"".join(request(path, body) for body in bodies)
        sending = threading.Thread(target=connection.sendall, args=[everything])
        before = outcomes(server, "ok", model="digits-attention")
        sending.start()
        wait_until(lambda: outcomes(server, "ok", model="digits-attention") > before + 10)
        while len(reader.answers) < len(bodies):
            reader.feed(connection.recv(1 << 16))
        sending.join()
    assert [json.loads(answer.body)["id"] for answer in reader.answers] == [
        str(index) for index in range(len(bodies))
    ]
    assert len({answer.body.partition(b'"outputs"')[2] for answer in reader.answers}) == 1


def test_a_client_that_leaves_between_pipelined_requests_is_counted_once(server: Server) -> None:
    cancelled = outcomes(server, "cancelled", model=PLAIN)
    whole = request("/v2/models/digits-lstm/infer", BINARY, [LENGTH])
    with connect(server) as connection:
        connection.sendall(whole + whole[:-10])
        assert connection.recv(12) == b"HTTP/1.1 200"
    wait_until(lambda: outcomes(server, "cancelled", model=PLAIN) == cancelled + 1)
    assert Scrape(server)("seqserve_requests_total", outcome="internal") == 0


def test_an_answer_in_bytes_is_that_in_json(server: Server) -> None:
    path = "/v2/models/digits-lstm/infer"
    body, length = binary_body()
    in_json, in_bytes = exchange(
        server, [request(path, body, [length]), request(path, BINARY, [LENGTH])], 2
    )
    size = int(in_bytes.header(b"inference-header-content-length"))
    logits = np.frombuffer(in_bytes.body[size:], dtype="<f4")
    assert json.loads(in_json.body)["outputs"][0]["data"] == pytest.approx(logits.tolist())


def test_bytes_that_are_no_http_are_refused_and_the_server_goes_on(server: Server) -> None:
    good = request("/v2/models/digits-lstm/infer", BINARY, [LENGTH])
    answers = exchange(server, [good + b"\0\0 no HTTP\r\n\r\n"], 3)
    assert answers[-1].status == 400
    (answer,) = exchange(server, [good], 1)
    assert answer.status == 200


@pytest.mark.parametrize("length", ["", "+5", "5, 5", "-1", "0x5", "5 5", "9" * 40])
def test_a_content_length_that_is_no_number(server: Server, length: str) -> None:
    for name in (PLAIN, ORDINARY):
        head = request(f"/v2/models/{name}/infer").replace(
            b"Content-Length: 0", f"Content-Length: {length}".encode()
        )
        (answer,) = exchange(server, [head + b"12345"], 1)
        assert answer.status == 400


def test_requests_that_never_began_do_not_hold_up_the_stop(tmp_path: Path) -> None:
    """Pipelined behind one under way, by a client that leaves."""
    repository = tmp_path / "repository"
    make_bundle(repository)
    with serving(repository, engine_threads=1, shutdown_timeout_s=600) as own:
        half_a_second = 0.5 * units_per_second(own, "made")
        body = json.dumps({"sequences": [steps(FINE, half_a_second)]}).encode()
        with connect(own) as leaving:
            leaving.sendall(3 * request("/v1/models/made/predict", body))
            wait_until(lambda: taken(own, "made") == 1)
    # `serving` stops it, and fails if that takes as long as a stop may
