"""HTTP as other clients speak it: upgrades that are not taken, halves closed, HEAD."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http.made import FINE, copy_bundle, make_bundle, steps
from tests.http.payloads import frames, infer_body, infer_path, predict_path
from tests.http.raw import Answers, RawAnswer, comparable, connect, exchange, request
from tests.http.work import outcomes, units_per_second
from tests.servers import Server, serving, wait_until

MODEL = "digits-lstm"
BODY = json.dumps(infer_body(frames(3))).encode()
LONG = json.dumps(infer_body(*[frames(200)] * 4)).encode()
HOT, BY_ASGI = infer_path(), infer_path().replace("lstm", "%6Cstm")
LIVE = request("/v2/health/live", method="GET")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that knows requests by heart; a model of it computes as long as one likes."""
    folder = tmp_path_factory.mktemp("clients")
    make_bundle(folder / "repository")
    copy_bundle(MODEL, folder / "repository")
    with serving(folder / "repository", engine_threads=1, max_batch_size=1) as server:
        for _ in range(3):
            exchange(server, [request(HOT, BODY)], 1)
        yield server


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


# an upgrade that is not taken


@pytest.mark.parametrize("expect", [False, True])
@pytest.mark.parametrize("chunks", [None, [4, 700]])
@pytest.mark.parametrize("path", [HOT, BY_ASGI])
@pytest.mark.parametrize("other", ["h2c", "websocket", "TLS/1.0, other"])
def test_an_upgrade_that_is_not_taken_changes_nothing(
    server: Server, path: str, other: str, chunks: list[int] | None, expect: bool
) -> None:
    upgrade = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", other)]
    headers = [("HTTP2-Settings", "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA")]
    headers += [("Content-Type", "application/json")]
    headers += [("Expect", "100-continue")] if expect else []
    plain = request(path, BODY, headers, chunks=chunks)
    asking = request(path, BODY, upgrade + headers, chunks=chunks)
    (wanted,) = exchange(server, [plain], 1)
    for size in (len(asking), 211, 7):
        answers = exchange(server, cut(asking + LIVE + asking + asking, size), 4)
        assert [comparable(answer) for answer in answers[:1] + answers[2:]] == 3 * [
            comparable(wanted)
        ]
        assert json.loads(answers[1].body) == {"live": True}


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
def test_an_upgrade_without_a_body(server: Server, method: str) -> None:
    headers = [("Connection", "upgrade"), ("Upgrade", "h2c")]
    asking = request("/v2", b"", headers, method=method).replace(b"Content-Length: 0\r\n", b"")
    plain = request("/v2", b"", [], method=method)
    if method == "HEAD":
        got = b"".join(_all_of(server, whole) for whole in (asking, plain))
        assert got.count(b"HTTP/1.1 200") == 2
        return
    answers = exchange(server, [asking + plain], 2)
    assert comparable(answers[0]) == comparable(answers[1])


JAVA = """
import java.net.URI;
import java.net.http.*;
public class Asks {
    public static void main(String[] given) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        for (String path : new String[] {given[1], given[2], given[1]}) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(given[0] + path))
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofFile(java.nio.file.Path.of(given[3]))).build();
            System.out.println(
                client.send(request, HttpResponse.BodyHandlers.ofString()).statusCode());
        }
    }
}
"""


@pytest.mark.skipif(shutil.which("java") is None, reason="there is no java")
@pytest.mark.timeout(120)
def test_java_asks_as_it_does_by_default(server: Server, tmp_path: Path) -> None:
    (tmp_path / "Asks.java").write_text(JAVA)
    (tmp_path / "body.json").write_bytes(BODY)
    command = ["java", "-XX:TieredStopAtLevel=1", str(tmp_path / "Asks.java"), server.base_url]
    done = subprocess.run(
        [*command, HOT, BY_ASGI, str(tmp_path / "body.json")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["200"] * 3, done.stderr


# a client that ends its half and waits


def half_closed(server: Server, data: bytes) -> tuple[list[RawAnswer], bytes]:
    """Answers to what a client sends that then sends no more; and all that came."""
    with connect(server) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        got = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    reader = Answers()
    reader.feed(got)
    return reader.answers, got


@pytest.mark.parametrize(
    "wholes",
    [
        [request(HOT, BODY)],
        [request(HOT, LONG)],
        [request(BY_ASGI, BODY)],
        [request(BY_ASGI, LONG, chunks=[9, 5_000])],
        [LIVE],
        [request(HOT, BODY)] * 5,
        [LIVE, request(HOT, BODY), request(HOT, LONG), LIVE, request(BY_ASGI, BODY)],
    ],
    ids=["hot", "hot, long", "ASGI", "chunked", "health", "pipelined", "mixed"],
)
def test_who_ends_its_half_gets_its_answers(server: Server, wholes: list[bytes]) -> None:
    answers, _ = half_closed(server, b"".join(wholes))
    assert [answer.status for answer in answers] == [200] * len(wholes)
    for answer, whole in zip(answers, wholes, strict=True):
        assert comparable(answer)[2] == comparable(exchange(server, [whole], 1)[0])[2]


@pytest.mark.parametrize("path", [predict_path("made"), "/v1/models/m%61de/predict"])
def test_who_ends_its_half_gets_an_answer_that_takes_long(server: Server, path: str) -> None:
    work = steps(FINE, 0.9 * units_per_second(server, "made"))
    body = json.dumps({"sequences": [work]}).encode()
    (answer,), got = half_closed(server, request(path, body))
    assert answer.status == 200
    assert got.startswith(b"HTTP/1.1 100 Continue\r\n\r\n")  # to find out whether it is there


def test_who_ends_its_half_of_an_old_connection_is_told_nothing_before(server: Server) -> None:
    work = steps(FINE, 0.6 * units_per_second(server, "made"))
    body = json.dumps({"sequences": [work]}).encode()
    (answer,), got = half_closed(server, request(predict_path("made"), body, http="1.0"))
    assert answer.status == 200
    assert got.startswith(b"HTTP/1.1 200")


def test_who_ends_its_half_in_a_request_has_left(server: Server) -> None:
    cancelled = outcomes(server, "cancelled", model=MODEL)
    answers, got = half_closed(server, request(HOT, BODY) + request(HOT, BODY)[:-9])
    assert [answer.status for answer in answers] == [200], got
    wait_until(lambda: outcomes(server, "cancelled", model=MODEL) == cancelled + 1)
    assert half_closed(server, LIVE[:-2]) == ([], b"")


# HEAD


def _all_of(server: Server, whole: bytes) -> bytes:
    with connect(server) as connection:
        connection.sendall(whole.replace(b"Host:", b"Connection: close\r\nHost:"))
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_head_is_get_without_its_body(server: Server) -> None:
    found = server.client.get("/openapi.json").json()["paths"]
    paths = [path for path, methods in found.items() if "get" in methods]
    assert {"/v2/health/ready", "/v2", "/metrics"} <= set(paths)
    for template in [*paths, "/v2/models/none", "/nowhere", "/v2/repository/index"]:
        path = template.replace("{name}", MODEL).replace("{version}", "1")
        if "{" in path:
            continue
        get, got = server.client.get(path), server.client.head(path)
        assert got.status_code == get.status_code, path
        assert got.content == b""
        leave_out = {"date", "x-request-id"} | ({"content-length"} if path == "/metrics" else set())
        told, wanted = (
            {name: value for name, value in answer.headers.items() if name not in leave_out}
            for answer in (got, get)
        )
        if get.status_code != 405:  # which names the method
            assert told == wanted, path
        assert "content-length" in got.headers


def test_a_head_leaves_the_connection_good(server: Server) -> None:
    head = request("/v2/health/live", method="HEAD")
    got = _all_of(server, LIVE)  # closed behind its own
    with connect(server) as connection:
        connection.sendall(head + LIVE.replace(b"Host:", b"Connection: close\r\nHost:"))
        both = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    first, _, rest = both.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200")
    assert b"content-length: 13" in first
    assert rest.startswith(b"HTTP/1.1 200")
    assert rest.endswith(got[-13:])
