"""Whose pages may have a server do something, and which names it goes by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.errors import CrossSiteError, MisdirectedError, ServiceError
from service.security.sites import Sites
from service.settings import Settings
from tests.http.payloads import JSON, frames, infer_body, infer_path
from tests.http.refusals import check_refusal
from tests.servers import Server

ADDRESS = "localhost:8000"


def refusal(method: str = "POST", settings: Any = None, **said: str) -> type[ServiceError] | None:
    """What a request with these headers is refused with by a server of these settings."""
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in said.items()]
    try:
        Sites(Settings(**settings or {})).check(method, fields)
    except ServiceError as error:
        return type(error)
    return None


@pytest.mark.parametrize(
    ("said", "goes_on"),
    [
        ({}, True),  # no browser
        ({"origin": "http://localhost:8000"}, True),
        ({"origin": "https://LOCALHOST:8000"}, True),  # behind what ends TLS
        ({"origin": "http://localhost:3000"}, False),
        ({"origin": "http://localhost"}, False),
        ({"origin": "http://other.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"origin": ADDRESS}, False),
        ({"sec_fetch_site": "same-origin"}, True),
        ({"sec_fetch_site": "none"}, True),
        ({"sec_fetch_site": "same-site"}, False),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": ""}, False),
        # behind a proxy that names this server by another name than the page does
        ({"origin": "https://models.example", "sec_fetch_site": "same-origin"}, True),
        ({"origin": "http://localhost:8000", "sec_fetch_site": "cross-site"}, False),
    ],
)
def test_whose_page_may_have_it_do_something(said: dict[str, str], goes_on: bool) -> None:
    assert refusal(host=ADDRESS, **said) is (None if goes_on else CrossSiteError)
    for method in ("GET", "HEAD", "OPTIONS"):  # a link leads to it from anywhere
        assert refusal(method, host=ADDRESS, **said) is None
    any_site = {"cors_origins": ["*"]}
    assert refusal(settings=any_site, host=ADDRESS, **said) is None


def test_pages_of_listed_sites_may() -> None:
    settings = {"cors_origins": ["https://good.example"]}
    for where in ({}, {"sec_fetch_site": "cross-site"}):
        for origin, wanted in (
            ("https://good.example", None),
            ("https://bad.example", CrossSiteError),
        ):
            assert refusal(settings=settings, host=ADDRESS, origin=origin, **where) is wanted
    assert refusal(settings=settings, host=ADDRESS, sec_fetch_site="cross-site") is CrossSiteError


OWN = ["localhost", "LocalHost:80", "localhost.", "localhost.:8000", "127.0.0.1:1", "127.9.9.9",
       "[::1]", "[::1]:8000", "::1", " localhost "]  # fmt: skip
FOREIGN = ["other.example", "localhost.example", "127.0.0.1.example", "10.0.0.1", "[::2]:8000",
           "", "0.0.0.0", "localhost:80.example"]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_names_of_a_server_that_asks_nobody_for_a_key(method: str, tmp_path: Path) -> None:
    for host in OWN:
        assert refusal(method, host=host) is None, host
    for host in FOREIGN:
        assert refusal(method, host=host) is MisdirectedError, host
    listed = {"allowed_hosts": ["Other.example", "10.0.0.1", "::2"]}
    for host in (*OWN, "other.EXAMPLE.:99", "10.0.0.1:8000", "[::2]"):
        assert refusal(method, listed, host=host) is None, host
    for settings in ({"host": "0.0.0.0"}, {"api_keys": tmp_path}, {"uds": tmp_path}):
        for host in (*OWN, *FOREIGN):
            assert refusal(method, settings, host=host) is None, "it is reached by any name"
        assert refusal(method, {**settings, **listed}, host="third.example") is MisdirectedError
        assert refusal(method, {**settings, "allowed_hosts": ["*"]}, host="third.example") is None
    assert refusal(method, {"host": "127.0.0.2"}, host="127.0.0.2:1") is None
    assert refusal(method, {"host": "10.1.1.1", **listed}, host="10.1.1.1:1") is None


@pytest.mark.parametrize("host", ["a:80", "[::1]:80", "http://a", "a/b", "", "a b", "*.a"])
def test_what_is_no_name_is_no_setting(host: str) -> None:
    with pytest.raises(ValueError, match="allowed_hosts"):
        Settings(allowed_hosts=[host])


# a running server


def test_a_foreign_page_changes_nothing(keyless: Server) -> None:
    before = keyless.client.get("/v2/logging").json()
    simple = [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {},
        JSON,
    ]
    for said in simple:
        for page in (
            {"Origin": "https://other.example"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Origin": "null"},
        ):
            for path, body in (
                ("/v2/logging", {"log_info": False}),
                ("/v2/repository/models/digits-gru/unload", {}),
                ("/v2/repository/models/digits-gru/load", {"parameters": {"config": "{}"}}),
            ):
                answer = keyless.client.post(
                    path, content=json.dumps(body), headers={**said, **page}
                )
                check_refusal(answer, 403, "", "cors_origins", code="cross_site")
    assert keyless.client.get("/v2/logging").json() == before
    assert keyless.client.get("/v2/models/digits-gru/ready").status_code == 200


def test_nor_does_what_a_page_sends_without_being_asked(keyless: Server) -> None:
    for kind in ("text/plain", "text/plain;charset=UTF-8", "multipart/form-data; boundary=a"):
        for path in (
            "/v2/logging",
            "/v2/trace/setting",
            "/v2/repository/index",
            "/v2/repository/models/digits-gru/unload",
            "/v2/repository/models/digits-gru/load",
        ):
            answer = keyless.client.post(path, content="{}", headers={"Content-Type": kind})
            check_refusal(answer, 415, "Content-Type", "application/json")
    for kind in (
        "",
        "application/json",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
    ):
        headers = {"Content-Type": kind} if kind else {}
        assert keyless.client.post("/v2/logging", content="{}", headers=headers).status_code == 200


def test_a_page_may_lead_to_the_pages(keyless: Server) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
    for path in ("/", "/docs"):
        assert keyless.client.get(path, headers=link).status_code == 200


def test_what_is_known_by_heart_is_known_of_the_host_and_the_page(keyless: Server) -> None:
    body = infer_body(frames(3))

    def ask(**said: str) -> httpx.Response:
        headers = {name.replace("_", "-"): value for name, value in said.items()}
        return keyless.client.post(infer_path(), json=body, headers=headers)

    for _ in range(4):  # read, then known by heart
        assert ask().status_code == 200
        assert ask(Host="LOCALHOST:1").status_code == 200
        assert ask(Origin=keyless.base_url, Sec_Fetch_Site="same-origin").status_code == 200
        check_refusal(
            ask(Host="other.example"), 421, "", "SEQSERVE_ALLOWED_HOSTS", code="misdirected"
        )
        check_refusal(ask(Host="localhost.other.example"), 421, "", "allowed", code="misdirected")
        check_refusal(ask(Origin="https://other.example"), 403, "", "cors", code="cross_site")
        check_refusal(ask(Sec_Fetch_Site="same-site"), 403, "", "cors", code="cross_site")
    answer = keyless.client.get("/v2/models", headers={"Host": "other.example"})
    check_refusal(answer, 421, "", "'other.example'", code="misdirected")
