"""Triton's generate extension: the same texts in its words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.generation.asking import MODELS, streaming, text
from tests.http.refusals import check_refusal
from tests.servers import Server

MODEL = MODELS[0]
OPTIONS = {"max_tokens": 20, "seed": 6, "temperature": 0.8, "stop": ["\n\n"]}


@pytest.mark.parametrize("version", ["", "/versions/1"])
@pytest.mark.parametrize("is_flat", [False, True])
def test_a_text_is_the_same_in_its_words(server: Server, version: str, is_flat: bool) -> None:
    options: dict[str, Any] = OPTIONS if is_flat else {"parameters": {**OPTIONS, "stream": False}}
    body = {"id": "7", "text_input": "ROMEO:", **options}
    path = f"/v2/models/{MODEL}{version}/generate"
    found = server.client.post(path, json=body).json()
    expected = text(server, MODEL, "ROMEO:", **OPTIONS)
    names = {"id": "7", "model_name": MODEL, "model_version": "1"}
    assert found == {**names, "text_output": expected.pop("text"), **expected}

    told = []
    with streaming(server, f"{path}_stream", body) as events:
        for name, said in events:
            assert name == "message"
            assert said.items() >= names.items()
            told.append(said)
    assert "".join(said["text_output"] for said in told) == found["text_output"]
    assert told[-1] == {**found, "text_output": told[-1]["text_output"]}
    assert len(told) > 5


def test_an_error_in_a_stream_is_data(server: Server) -> None:
    body = {"text_input": "a", "parameters": {"max_tokens": 4_000, "timeout_s": 0.2}}
    with streaming(server, f"/v2/models/{MODEL}/generate_stream", body) as events:
        *_, (name, said) = events
    assert name == "message"
    assert set(said) == {"error", "code"}


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "text_input"),
        ({"text_input": ["a"]}, 400, "text_input"),
        ({"text_input": "a", "parameters": {"temperature": -1}}, 422, "temperature"),
        ({"text_input": "a", "temperature": "x"}, 400, "temperature"),
        ({"text_input": "a", "parameters": {"bad_words": "x"}}, 400, "bad_words"),
        ({"text_input": "a", "parameters": {"prompts": "x"}}, 400, "prompts"),
        ({"text_input": "a", "parameters": 3}, 400, "parameters"),
        ([], 400, ""),
    ],
)
@pytest.mark.parametrize("path", ["generate", "generate_stream"])
def test_bad_bodies_are_named(
    server: Server, body: object, status: int, field: str, path: str
) -> None:
    response = server.client.post(f"/v2/models/{MODEL}/{path}", json=body)
    check_refusal(response, status, field)
