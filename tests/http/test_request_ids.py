"""Every answer carries an id that finds its lines in the log; none smuggles anything into it."""

from __future__ import annotations

import json
import re
import socket

import httpx
import pytest

from tests.http.payloads import JSON, frames, infer_body, infer_path, predict_body, predict_path
from tests.servers import Server

MADE = re.compile(r"[0-9a-f]{32}")


@pytest.mark.parametrize("given", ["abc", "1", "a/b:c;d=e", "~" * 128])
def test_an_id_that_is_given_is_returned(client: httpx.Client, given: str) -> None:
    response = client.get("/v2/health/live", headers={"X-Request-ID": given})
    assert response.headers["X-Request-ID"] == given


def test_an_id_is_made_where_none_is_given(client: httpx.Client) -> None:
    requests = [
        ("GET", "/v2/health/live", 200),
        ("GET", "/nosuch", 404),
        ("POST", predict_path(), 415),
        ("DELETE", "/v2", 405),
    ]
    made = set()
    for method, path, status in requests:
        response = client.request(method, path)
        assert response.status_code == status
        assert len(response.headers.get_list("X-Request-ID")) == 1
        assert MADE.fullmatch(response.headers["X-Request-ID"])
        made.add(response.headers["X-Request-ID"])
    assert len(made) == len(requests)


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "tab\tbed", "é", '{"a": 1} x'])
def test_an_id_that_does_no_good_is_replaced(client: httpx.Client, given: str) -> None:
    headers = [(b"X-Request-ID", given.encode("latin-1"))]
    response = client.get("/v2/health/live", headers=headers)
    assert response.status_code == 200
    assert MADE.fullmatch(response.headers["X-Request-ID"])


@pytest.mark.parametrize("given", [b"a\rSet-Cookie: x=1", b"a\x00b", b"a\x1b[2Jb", b"\xff\xfe"])
def test_bytes_that_no_client_should_send_are_not_sent_back(server: Server, given: bytes) -> None:
    url = httpx.URL(server.base_url)
    assert url.port is not None
    with socket.create_connection((url.host, url.port), timeout=30.0) as raw:
        raw.sendall(
            b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"X-Request-ID: " + given + b"\r\n\r\n"
        )
        answer = b"".join(iter(lambda: raw.recv(65_536), b""))
    assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 400"))
    assert given not in answer
    assert b"set-cookie" not in answer.lower()


def test_the_log_line_of_a_request_has_its_id(server: Server) -> None:
    headers = {"X-Request-ID": "find-me-in-the-log"}
    body = predict_body(frames(3))
    assert server.client.post(predict_path(), json=body, headers=headers).status_code == 200
    line = server.wait_for_event("request", request_id="find-me-in-the-log")
    assert line["path"] == predict_path()
    assert (line["method"], line["status"]) == ("POST", 200)
    assert 0 < line["elapsed_ms"] < 60_000


def test_the_log_line_of_an_error_has_its_id(server: Server) -> None:
    headers = {**JSON, "X-Request-ID": "too-late"}
    body = json.dumps(predict_body(frames(3), timeout_s=1e-9))
    response = server.client.post(predict_path(), content=body, headers=headers)
    assert response.status_code == 504
    assert response.headers["X-Request-ID"] == "too-late"
    line = server.wait_for_event("request refused", request_id="too-late")
    assert line["code"] == "timeout"
    assert line["level"] == "warning"


def test_every_line_of_the_log_is_json_and_one_line(server: Server) -> None:
    body = infer_body(frames(2), id="two\nlines")
    server.client.post(infer_path("no%0Asuch"), json=body)
    server.client.get("/no%0Asuch", headers={"X-Request-ID": "last-of-these"})
    server.wait_for_event("request", request_id="last-of-these", path="/no\nsuch")
    for line in server.log.splitlines():
        assert {"event", "level", "logger", "timestamp"} <= json.loads(line).keys()
