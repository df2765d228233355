"""How a refusal is checked: its status, its words, the field it names; and the server goes on."""

from __future__ import annotations

import json
from typing import Any

import httpx
import msgspec

from tests.http.payloads import JSON, frames, infer_body, infer_path, predict_body, predict_path

CODES = {
    400: "invalid_request",
    404: "model_not_found",
    413: "payload_too_large",
    415: "unsupported_media_type",
    422: "invalid_sequence",
    429: "overloaded",
    504: "timeout",
}


def check_refusal(
    response: httpx.Response, status: int, field: str, *words: str, code: str = ""
) -> None:
    """Hold an answer against the table of `service/errors.py`; every word is in its message."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body["code"] == (code or CODES[status])
    assert body.get("field", "") == field
    for word in words:
        assert word in body["error"], body["error"]


def check_serving(client: httpx.Client, model: str = "digits-lstm") -> None:
    """A good request is answered, by either protocol."""
    task = client.post(predict_path(model), json=predict_body(frames(3)))
    assert task.status_code == 200, task.text
    tensors = client.post(infer_path(model), json=infer_body(frames(3)))
    assert tensors.status_code == 200, tensors.text


def refuse(
    client: httpx.Client,
    path: str,
    body: Any,
    status: int,
    field: str,
    *words: str,
    headers: dict[str, str] = JSON,
) -> None:
    """Post a bad body (bytes, text, or a document to encode); then a good one."""
    content = body if isinstance(body, bytes | str) else encode(body)
    check_refusal(client.post(path, content=content, headers=headers), status, field, *words)
    check_serving(client)


def encode(document: Any) -> bytes:
    """JSON; Python's own where whole numbers are too large for the quick one."""
    try:
        return msgspec.json.encode(document)
    except (TypeError, OverflowError):
        return json.dumps(document).encode()
