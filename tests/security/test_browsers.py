"""Other sites' pages: which may ask, on every way in; and what browsers are told."""

from __future__ import annotations

import json

from tests.http.payloads import frames, infer_body, infer_path
from tests.http.raw import exchange, request
from tests.security.keyring import Keyring
from tests.servers import serving

GOOD, BAD = "https://good.example", "https://bad.example"


def test_pages_of_listed_sites_may_ask_and_of_no_others(keyring: Keyring) -> None:
    asker = {"X-API-Key": keyring.tokens["asker"]}
    body = infer_body(frames(3))
    with serving(api_keys=keyring.path, cors_origins=json.dumps([GOOD])) as server:
        client = server.client
        asks = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-api-key",
        }
        allowed = client.options(infer_path(), headers={"Origin": GOOD, **asks})
        assert allowed.status_code == 200, "a browser sends no key with it"
        assert allowed.headers["Access-Control-Allow-Origin"] == GOOD
        assert client.options(infer_path(), headers={"Origin": BAD, **asks}).status_code == 400
        for _ in range(3):  # read, then known by heart
            for origin, told in ((GOOD, GOOD), (BAD, None), (None, None)):
                headers = {**asker, **({"Origin": origin} if origin else {})}
                computed = client.post(infer_path(), json=body, headers=headers)
                assert computed.status_code == (403 if origin == BAD else 200)
                read = client.get("/v1/models", headers=headers)
                assert read.status_code == 200, "the browser keeps it from the page"
                for answer in (computed, read):
                    assert answer.headers.get("Access-Control-Allow-Origin") == told
                    assert "Access-Control-Allow-Credentials" not in answer.headers
                    if told:
                        assert "x-request-id" in answer.headers["Access-Control-Expose-Headers"]
        for path in (infer_path(), "/v1/models"):
            refused = client.post(path, json=body, headers={"Origin": GOOD})
            assert refused.status_code == 401
            assert refused.headers["Access-Control-Allow-Origin"] == GOOD, "the page may read why"


def test_every_answer_tells_browsers_to_take_it_as_what_it_is(keyring: Keyring) -> None:
    body = json.dumps(infer_body(frames(3))).encode()
    typed = [("Content-Type", "application/json")]
    kinds = [
        request(infer_path(), body, typed),
        request(infer_path(), b"{}", typed),
        request("/v2/health/live", b"", method="GET"),
        request("/no/such", b"", method="GET"),
        b"no HTTP\r\n\r\n",
    ]
    with serving() as server:
        for kind in [kinds[0], kinds[0], *kinds]:
            (answer,) = exchange(server, [kind], 1)
            assert answer.header(b"x-content-type-options") == b"nosniff", kind
            assert answer.header(b"x-frame-options") == b"DENY"
            assert not answer.header(b"access-control-allow-origin")
            assert not answer.header(b"server")
