"""What several workers count, they count together."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import httpx

from tests.http.payloads import frames, infer_body, infer_path
from tests.security.keyring import Keyring
from tests.servers import serving


def test_workers_share_a_rate(tmp_path: Path) -> None:
    keyring = Keyring(
        tmp_path / "keys.toml", {"slow": {"scopes": ["infer"], "requests_per_s": 0.01, "burst": 6}}
    )
    body = json.dumps(infer_body(frames(3)))
    headers = {"Content-Type": "application/json", **keyring.of("slow")}
    with serving(workers=2, engine_threads=1, api_keys=keyring.path) as server:
        statuses = Counter(
            httpx.post(server.base_url + infer_path(), content=body, headers=headers).status_code
            for _ in range(12)  # each on a connection of its own, of one worker or the other
        )
    assert statuses == {200: 6, 429: 6}
