"""A bounded demo load, by the standard library alone: `python demo_load.py http://127.0.0.1:8000`.

Asks each model in turn by the example that the server's own OpenAPI document gives for it.
"""

from __future__ import annotations

import json
import sys
import time
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

REQUESTS_PER_S = 20
SECONDS = 600.0
OPENER = build_opener(ProxyHandler({}))


def fetch(url: str, body: bytes | None = None) -> bytes:
    """An answer's body, whatever its status."""
    headers = {"Content-Type": "application/json"} if body is not None else {}
    try:
        with OPENER.open(Request(url, body, headers), timeout=30) as answer:
            found: bytes = answer.read()
    except HTTPError as error:
        with error:
            return error.read()
    return found


def examples(server: str) -> list[tuple[str, bytes]]:
    """A request's path and body for each model."""
    paths = json.loads(fetch(f"{server}/openapi.json"))["paths"]
    found = []
    for model in json.loads(fetch(f"{server}/v1/models"))["models"]:
        path = f"/v1/models/{model['name']}/predict"
        content = paths[path]["post"]["requestBody"]["content"]["application/json"]
        found.append((path, json.dumps(content["examples"]["example"]["value"]).encode()))
    return found


def main() -> None:
    """Ask until the time is up."""
    server = sys.argv[1].rstrip("/")
    asked, began_s = 0, time.monotonic()
    while time.monotonic() - began_s < SECONDS:
        for path, body in examples(server):
            fetch(f"{server}{path}", body)
            asked += 1
            time.sleep(max(0.0, began_s + asked / REQUESTS_PER_S - time.monotonic()))
    sys.stdout.write(f"{asked} requests\n")


if __name__ == "__main__":
    main()
