"""The pages, in a real browser: they need nothing from elsewhere, and requests can be tried."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from service.api.browsing import FOLDER
from service.app import create_app
from service.settings import Settings
from tests.http.browser import PROGRAM, browsing
from tests.http.payloads import frames, predict_path
from tests.http.refusals import check_refusal
from tests.servers import CHECKOUT, Server, serving

TOKEN = "sq_" + "k" * 40
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
needs_browser = pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed")


def test_the_start_page_lists_what_serves(client: httpx.Client) -> None:
    page = client.get("/", headers=HTML)
    assert page.headers["content-type"].startswith("text/html")
    assert "<td>digits-lstm</td><td>1</td><td>classification</td><td>READY</td>" in page.text
    for path in ("docs", "openapi.json", "v1/models", "v2/health/ready", "metrics"):
        assert f'href="{path}"' in page.text
        assert client.get(f"/{path}").status_code == 200
    assert client.get("/").json()["name"] == "seqserve"


def test_pages_may_run_nothing_but_their_own_files(client: httpx.Client) -> None:
    for path in ("/", "/docs"):
        page = client.get(path, headers=HTML)
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "//" not in page.text, "from elsewhere"
    check_refusal(client.get("/docs/README.md"), 404, "", "docs", code="not_found")


def test_the_files_of_the_pages_are_installed_with_the_service() -> None:
    assert {path.suffix for path in FOLDER.iterdir()} >= {".js", ".css", ".html", ".txt"}
    assert 'service = ["api/pages/*"]' in (CHECKOUT / "pyproject.toml").read_text()


def test_what_most_come_for_stands_first(client: httpx.Client) -> None:
    paths = list(client.get("/openapi.json").json()["paths"])
    kinds = [path.startswith("/v1") for path in paths]
    assert paths[0].startswith("/v1/models/digits-")
    assert kinds == sorted(kinds, reverse=True)


@needs_browser
def test_a_request_is_tried_out_in_a_browser(server: Server, tmp_path: Path) -> None:
    with browsing(tmp_path) as browser:
        browser.go(f"{server.base_url}/docs#/classification/predict_digits-lstm")
        operation = "document.querySelector('.opblock[id*=\"predict_digits-lstm\"]')"
        browser.wait_for(f"{operation} && {operation}.querySelector('.try-out__btn') && true")
        assert browser.run("document.querySelectorAll('.opblock').length") > 20
        browser.run(f"{operation}.querySelector('.try-out__btn').click()")
        browser.wait_for(f"{operation}.querySelector('button.execute') && true")
        browser.run(f"{operation}.querySelector('button.execute').click()")
        status = f"{operation}.querySelector('.live-responses-table tbody .response-col_status')"
        assert browser.wait_for(f"{status} && {status}.innerText").startswith("200")
        answer = f"{operation}.querySelector('.live-responses-table .microlight').innerText"
        assert json.loads(browser.run(answer))["model"] == "digits-lstm"
        assert all(url.startswith(server.base_url) for url in browser.requested)
        assert not browser.complaints
        before = server.client.get("/v2/logging").json()
        # another site: the same server by another name
        browser.go(server.base_url.replace("127.0.0.1", "localhost") + "/v2/health/live")
        browser.wait_for("location.hostname === 'localhost' && document.body !== null")
        asks = json.dumps([f"{server.base_url}/v2/logging", '{"log_verbose_level": 1}'])
        browser.run(
            f"const [url, body] = {asks};"
            "fetch(url, {method: 'POST', mode: 'no-cors', body}).finally(() => window.asked = true)"
        )
        browser.wait_for("window.asked")
        server.wait_for_event("request", method="POST", path="/v2/logging", status=403)
        assert server.client.get("/v2/logging").json() == before


def test_pages_can_be_switched_off_and_head_is_get_without_its_body(client: httpx.Client) -> None:
    for path in ("/", "/docs", "/docs/docs.js", "/docs/nosuch", "/v1/models"):
        got, head = (client.request(method, path, headers=HTML) for method in ("GET", "HEAD"))
        assert head.status_code == got.status_code
        assert head.headers["content-length"] == str(len(got.content))
        assert not head.content
    refused = client.head(predict_path())
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    with TestClient(create_app(Settings(pages=False)), "http://localhost") as off:
        for path in ("/", "/docs", "/docs/docs.js", "/openapi.json"):
            assert off.get(path).json()["code"] == "not_found"
        assert off.get("/v2/health/live").status_code == 200


@needs_browser
def test_with_keys_the_page_asks_for_one(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    keys.write_text(json.dumps({"keys": [{"name": "me", "sha256": digest, "scopes": ["infer"]}]}))
    with serving(api_keys=keys) as server, browsing(tmp_path / "browser") as browser:
        browser.go(f"{server.base_url}/docs")
        browser.wait_for("document.getElementById('key-form')?.hidden === false")
        assert "digits" not in browser.run("document.body.innerText")
        browser.run(
            f"document.getElementById('key').value = '{TOKEN}';"
            "document.querySelector('#key-form button').click()"
        )
        browser.wait_for("document.querySelectorAll('.opblock').length > 20")
        assert browser.run("document.getElementById('key-form').hidden")


@pytest.mark.parametrize("kind", [None, "", "application/x-www-form-urlencoded"])
def test_json_that_nobody_says_is_json(client: httpx.Client, kind: str | None) -> None:
    body = json.dumps({"sequences": [frames(4).tolist()]}).encode()
    headers = {} if kind is None else {"Content-Type": kind}
    for prefix in (b"", b" \n", b"\xef\xbb\xbf"):
        answer = client.post(predict_path(), content=prefix + body, headers=headers)
        assert answer.status_code == 200, answer.text
    check_refusal(client.post(predict_path(), content=b"a=1", headers=headers), 415, "Content-Type")


def test_a_form_is_told_how_to_send_a_file(client: httpx.Client) -> None:
    answer = client.post(predict_path(), files={"file": ("a.wav", b"RIFF", "audio/wav")})
    check_refusal(answer, 415, "Content-Type", "--data-binary @FILE", "audio/wav")


def test_the_models_by_name(client: httpx.Client) -> None:
    names = client.get("/v2/models").json()["models"]
    assert "digits-lstm" in names
    assert all(client.get(f"/v2/models/{name}/ready").json()["ready"] for name in names)
