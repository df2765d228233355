"""Texts asked for in all the ways there are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.servers import CHECKOUT, Server

REPOSITORY = CHECKOUT / "repository"
MODELS = sorted(path.name for path in REPOSITORY.glob("shakespeare-*"))
every_model = pytest.mark.parametrize("model", MODELS)

Said = dict[str, Any]


def texts(server: Server, model: str, prompts: str | list[str], **options: Any) -> list[Said]:
    """Predictions, in one answer."""
    path = f"/v1/models/{model}/predict"
    response = server.client.post(path, json={"prompts": prompts, **options})
    assert response.status_code == 200, response.text
    body = response.json()
    assert (body["model"], body["version"]) == (model, "1")
    predictions: list[Said] = body["predictions"]
    return predictions


def text(server: Server, model: str, prompt: str, **options: Any) -> Said:
    """One prediction."""
    (prediction,) = texts(server, model, [prompt], **options)
    return prediction


@contextmanager
def streaming(server: Server, path: str, body: Said) -> Iterator[Iterator[tuple[str, Said]]]:
    """The events of a stream, each with its name, as they come."""
    with server.client.stream("POST", path, json=body) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        yield events_of(response)


def events_of(response: httpx.Response) -> Iterator[tuple[str, Said]]:
    name = "message"
    for line in response.iter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)
            name = "message"
        else:
            assert not line, line


def streamed(
    server: Server, model: str, prompts: str | list[str], **options: Any
) -> tuple[list[list[str]], list[Said]]:
    """Of each prompt, the pieces that were told, and the last event."""
    count = 1 if isinstance(prompts, str) else len(prompts)
    pieces: list[list[str]] = [[] for _ in range(count)]
    ends: dict[int, Said] = {}
    body = {"prompts": prompts, "stream": True, **options}
    with streaming(server, f"/v1/models/{model}/generate", body) as events:
        for name, said in events:
            assert name == "message", said
            row = said["index"]
            assert row not in ends, "nothing comes after the last"
            pieces[row].append(said["text"])
            if "finish_reason" in said:
                ends[row] = said
            else:
                assert said.keys() == {"index", "text"}
                assert said["text"]
    return pieces, [ends[row] for row in range(count)]
