"""Texts of the committed models: what is asked is what comes, whole or as it comes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.generation.asking import MODELS, REPOSITORY, every_model, streamed, text, texts
from tests.http.raw import connect, exchange, request
from tests.servers import Server

# the scored part's first 2,000 characters; public domain
SAMPLE = (Path(__file__).parent / "tinyshakespeare-slice.txt").read_text()
PROMPTS = ["ROMEO:", "", "To be, or not to be", "\n", "KING RICHARD II:\nO"]


def options(number: int) -> dict[str, Any]:
    """Ways to draw, all different."""
    return {
        "seed": number,
        "max_tokens": 5 + 7 * number % 40,
        "temperature": [0, 0.5, 1.0, 2.0][number % 4],
        "top_k": [0, 3][number % 2],
        "top_p": [1.0, 0.9, 0.5][number % 3],
        "stop": [[], "e", ["\n\n", " the"], ["zzz"]][number % 4],
    }


@every_model
def test_concurrent_texts_are_those_alone(server: Server, model: str) -> None:
    """Streams and whole answers, all at a time."""
    numbers = range(24)

    def ask(number: int) -> tuple[str, str]:
        prompt = PROMPTS[number % len(PROMPTS)]
        if number % 2:
            (pieces,), (end,) = streamed(server, model, prompt, **options(number))
            return "".join(pieces), end["finish_reason"]
        found = text(server, model, prompt, **options(number))
        return found["text"], found["finish_reason"]

    alone = [ask(number) for number in numbers]
    with ThreadPoolExecutor(len(numbers)) as pool:
        assert list(pool.map(ask, numbers)) == alone
    assert len({found for found, _ in alone}) > len(numbers) // 2


@every_model
def test_a_stream_says_what_an_answer_says(server: Server, model: str) -> None:
    asked: dict[str, Any] = {"max_tokens": 30, "seed": 3, "logprobs": 2, "stop": ["\n"]}
    whole = texts(server, model, PROMPTS, **asked)
    pieces, ends = streamed(server, model, PROMPTS, **asked)
    for row, (prediction, end) in enumerate(zip(whole, ends, strict=True)):
        said = {"model": model, "version": "1", "index": row}
        assert end == {**said, **prediction, "text": pieces[row][-1]}
        assert "".join(pieces[row]) == prediction["text"]
    assert max(map(len, pieces)) > 1


@every_model
def test_one_prompt_among_others_is_as_alone(server: Server, model: str) -> None:
    together = texts(server, model, PROMPTS, max_tokens=40, seed=11)
    assert together == [text(server, model, each, max_tokens=40, seed=11) for each in PROMPTS]


def test_greedy_texts_need_no_seed(server: Server) -> None:
    found = [text(server, MODELS[0], "ROMEO:", temperature=0, max_tokens=50) for _ in range(2)]
    assert found[0]["text"] == found[1]["text"]
    assert found[0]["text"] == text(server, MODELS[0], "ROMEO:", top_k=1, max_tokens=50)["text"]


def test_a_seed_that_was_drawn_gives_the_text_again(server: Server) -> None:
    first, second = (text(server, MODELS[0], "ROMEO:", max_tokens=60) for _ in range(2))
    assert first["seed"] != second["seed"]
    assert first["text"] != second["text"]
    assert text(server, MODELS[0], "ROMEO:", max_tokens=60, seed=first["seed"]) == first


def test_a_text_ends_before_what_stops_it(server: Server) -> None:
    model, asked = MODELS[0], {"max_tokens": 300, "seed": 5, "temperature": 0.7}
    whole = text(server, model, "ROMEO:", **asked)
    assert whole["finish_reason"] == "length"
    assert len(whole["text"]) == whole["usage"]["completion_tokens"] == 300
    stop = whole["text"][100:107]
    cut = text(server, model, "ROMEO:", stop=["never met", stop], **asked)
    assert cut["finish_reason"] == "stop"
    assert cut["text"] == whole["text"][: whole["text"].index(stop)]
    assert cut["usage"]["completion_tokens"] == len(cut["text"]) + len(stop)
    (pieces,), _ = streamed(server, model, "ROMEO:", stop=[stop], **asked)
    assert "".join(pieces) == cut["text"]


def test_logprobs_are_of_the_model_and_its_likeliest(server: Server) -> None:
    found = text(server, MODELS[0], "ROMEO:", temperature=0, max_tokens=20, logprobs=3)
    assert "".join(token["token"] for token in found["logprobs"]) == found["text"]
    for token in found["logprobs"]:
        assert token["top"][0] == {"token": token["token"], "logprob": token["logprob"]}
        chances = [each["logprob"] for each in token["top"]]
        assert chances == sorted(chances, reverse=True)
        assert np.exp(chances).sum() <= 1
    plain = text(server, MODELS[0], "ROMEO:", max_tokens=5, logprobs=0)
    assert all(token["top"] == [] for token in plain["logprobs"])


@every_model
def test_a_prompt_is_scored_as_it_would_be_drawn(server: Server, model: str) -> None:
    drawn = text(server, model, "ROMEO:", max_tokens=30, seed=2, logprobs=0)
    whole = "ROMEO:" + drawn["text"]
    scored = text(server, model, whole, max_tokens=0, score=True)
    assert (scored["text"], scored["usage"]) == (
        "",
        {"prompt_tokens": 36, "completion_tokens": 0},
    )
    expected = [token["logprob"] for token in drawn["logprobs"]]
    np.testing.assert_allclose(scored["prompt_logprobs"][6:], expected, atol=1e-4)
    more = text(server, model, "ROMEO:", max_tokens=30, seed=2, score=True, logprobs=0)
    assert more["text"] == drawn["text"]
    np.testing.assert_allclose(more["prompt_logprobs"], scored["prompt_logprobs"][:6], atol=1e-4)


@every_model
def test_the_measured_score_comes_out_over_http(server: Server, model: str) -> None:
    metrics = json.loads((REPOSITORY / model / "1/metrics.json").read_text())["test"]
    assert len(SAMPLE) == metrics["slice_characters"]
    scored = text(server, model, SAMPLE, max_tokens=0, score=True)
    nats = -np.mean(scored["prompt_logprobs"])
    assert nats == pytest.approx(metrics["slice_nats_per_character"], abs=1e-4)


def test_models_say_what_they_know(server: Server) -> None:
    described = server.client.get("/v1/models").json()["models"]
    assert [model["name"] for model in described] == MODELS
    for model in described:
        assert (model["task"], model["batching"]) == ("generation", "decoding")
        assert model["begin"] in model["vocabulary"]
        assert model["unknown"] in model["vocabulary"]


def test_unknown_characters_are_replaced_and_counted(server: Server) -> None:
    found = text(server, MODELS[0], "ROMÉO 😀:", temperature=0, max_tokens=10)
    assert found["unknown_characters"] == 2
    replaced = text(server, MODELS[0], "ROM O  :", temperature=0, max_tokens=10)
    assert found["text"] == replaced["text"]


def test_an_old_client_reads_a_stream_to_its_end(server: Server) -> None:
    """HTTP/1.0 knows no chunks."""
    body = json.dumps({"prompts": "ROMEO:", "max_tokens": 9, "seed": 1, "stream": True}).encode()
    path = f"/v1/models/{MODELS[0]}/generate"
    (answer,) = exchange(server, [request(path, body, http="1.1")], 1)
    with connect(server) as connection:
        connection.sendall(request(path, body, http="1.0"))
        got = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    head, _, events = got.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert b"transfer-encoding" not in head
    assert b"content-length" not in head
    assert events == answer.body
    assert events.count(b"\n\n") > 3
