"""Asks a server about faulty models."""

from __future__ import annotations

import httpx
import numpy as np

from tests.http.payloads import tensor
from tests.servers import Server


def ask(server: Server, model: str, value: float = 0.5) -> httpx.Response:
    """Its answer to one x."""
    body = {"inputs": [tensor("x", np.full((1, 1), value, np.float32))]}
    return server.client.post(f"/v2/models/{model}/infer", json=body)


def check_answers(server: Server, model: str) -> None:
    """Fail unless it answers, and rightly."""
    response = ask(server, model)
    assert response.status_code == 200, response.text
    assert response.json()["outputs"][0]["data"] == [1.5]
