"""Taggers over HTTP: measured again on real sentences, offsets, and requests that are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.tasks.tagging.spans import is_span_set
from tests.bundles.some import serving_some
from tests.http.payloads import predict_path
from tests.http.refusals import check_refusal
from tests.servers import REPOSITORY
from training.data.texts.brown import name_tags
from training.data.texts.conll import read_conll
from training.tasks.tagging.scores import tagging_scores

SAMPLE = Path(__file__).parents[1] / "data" / "brown_news_test.conll"
TAGGERS = ["pos-birnn", "pos-transformer", "names-birnn"]
MAX_SEQUENCES = 100  # of one request here
TEXT = "Mr. O\u2019Neil \U0001f600 of the  Fulton County Jury said: \u201cno!\u201d"


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving_some("pos-*", "names-*") as server:
        yield server.client


def ask(client: httpx.Client, model: str, **body: Any) -> list[dict[str, Any]]:
    response = client.post(predict_path(model), json=body)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert (answer["model"], answer["version"]) == (model, "1")
    predictions: list[dict[str, Any]] = answer["predictions"]
    return predictions


@pytest.mark.parametrize("model", TAGGERS)
def test_the_test_split_scores_what_the_metrics_say(client: httpx.Client, model: str) -> None:
    sentences = read_conll(SAMPLE)
    found: list[list[str]] = []
    for start in range(0, len(sentences), MAX_SEQUENCES):
        tokens = [sentence.words for sentence in sentences[start : start + MAX_SEQUENCES]]
        for prediction in ask(client, model, tokens=tokens):
            found.append([token["tag"] for token in prediction["tokens"]])
    has_spans = model.startswith("names")
    expected = [name_tags(s.tags) if has_spans else s.tags for s in sentences]
    scores = tagging_scores(expected, found, has_spans=has_spans)
    metrics = json.loads((REPOSITORY / model / "1" / "metrics.json").read_text())
    assert metrics["sequences"]["test"] == len(sentences)
    for name, score in scores.items():
        # onnxruntime and torch differ by 1e-6: of ten thousand words one may be as good as a tie
        assert score == pytest.approx(metrics["test"][name], abs=5e-4)
    metric = metrics["metric"]
    assert scores[metric] > max(metrics["baselines"].values()) + 0.05
    quality = client.get("/v1/models").json()["models"]
    (described,) = (entry["quality"] for entry in quality if entry["name"] == model)
    assert described["metrics"][metric] == metrics["test"][metric]


@pytest.mark.parametrize("model", TAGGERS)
def test_places_lead_into_the_callers_own_text(client: httpx.Client, model: str) -> None:
    (prediction,) = ask(client, model, texts=TEXT, explain=True)
    words = ["Mr.", "O\u2019Neil", "\U0001f600", "of", "the", "Fulton", "County", "Jury", "said"]
    texts = [token["text"] for token in prediction["tokens"]]
    assert texts == [*words, ":", "\u201c", "no", "!", "\u201d"]
    for token in prediction["tokens"]:
        assert TEXT[token["start"] : token["end"]] == token["text"]
        assert token["alternatives"][0]["probability"] >= token["alternatives"][1]["probability"]
        assert 0 < token["probability"] <= 1
    assert not prediction["tokens"][2]["known"]
    assert prediction["unknown_tokens"] == sum(not t["known"] for t in prediction["tokens"])
    assert 0 < prediction["score"] <= 1
    assert (prediction["attention"] is not None) == model.endswith("transformer")
    if prediction["attention"]:
        assert len(prediction["attention"]) == len(texts)
        assert sum(prediction["attention"]) == pytest.approx(1, abs=1e-5)
    spans = {TEXT[span["start"] : span["end"]] for span in prediction["spans"]}
    assert spans == {span["text"] for span in prediction["spans"]}
    if is_span_set({"O"} | {token["tag"] for token in prediction["tokens"]}):
        assert "Fulton County Jury" in spans


@pytest.mark.parametrize("model", ["pos-transformer", "names-birnn"])
def test_a_sentence_answers_alike_in_any_company(client: httpx.Client, model: str) -> None:
    texts = [TEXT, "Yes.", "The jury said Friday it had no evidence that any took place . " * 9]
    together = ask(client, model, texts=texts)
    for text, prediction in zip(texts, together, strict=True):
        (alone,) = ask(client, model, texts=text)
        assert len(alone["tokens"]) == len(prediction["tokens"])
        for one, other in zip(alone["tokens"], prediction["tokens"], strict=True):
            assert one | {"probability": 0} == other | {"probability": 0}
            assert one["probability"] == pytest.approx(other["probability"], abs=1e-4)


BAD: dict[str, tuple[Any, int, str, str]] = {
    "no input": ({}, 400, "texts", "either texts or tokens"),
    "both": ({"texts": "a", "tokens": [["a"]]}, 400, "texts", "either texts or tokens"),
    "no text": ({"texts": ["a", ""]}, 422, "texts[1]", "blank"),
    "blank": ({"texts": [" \t\n\u3000"]}, 422, "texts[0]", "blank"),
    "a megabyte": ({"texts": ["a", "word " * 200_000]}, 422, "texts[1]", "1000000 characters"),
    "a number": ({"texts": ["a", 3]}, 400, "texts[1]", "str"),
    "null": ({"texts": [None]}, 400, "texts[0]", "str"),
    "an object": ({"texts": {"a": "b"}}, 400, "texts", "str"),
    "a control character": ({"texts": ["a", "b\0c"]}, 422, "texts[1]", "U+0000, at character 1"),
    "too many words": ({"texts": ["a " * 257]}, 422, "texts[0]", "257"),
    "none at all": ({"texts": []}, 422, "texts", ""),
    "words of no kind": ({"tokens": [["a"], "b"]}, 400, "tokens[1]", "array"),
    "no words": ({"tokens": [["a"], []]}, 422, "tokens[1]", "no words"),
    "a blank word": ({"tokens": [["a", ""]]}, 422, "tokens[0][1]", "blank"),
    "an unknown field": ({"texts": "a", "top_k": 3}, 400, "top_k", "unknown"),
    "frames": ({"sequences": [[[0.0]]]}, 400, "sequences", "unknown"),
}


@pytest.mark.parametrize("which", BAD)
def test_what_is_refused_names_its_field(client: httpx.Client, which: str) -> None:
    body, status, field, words = BAD[which]
    response = client.post(predict_path("names-birnn"), json=body)
    check_refusal(response, status, field, words)
    assert ask(client, "names-birnn", texts="Mr. Smith")[0]["spans"]


def test_half_of_a_surrogate_pair_is_no_json(client: httpx.Client) -> None:
    json_type = {"Content-Type": "application/json"}
    body = rb'{"texts": ["a\ud83d b"]}'
    response = client.post(predict_path("names-birnn"), content=body, headers=json_type)
    check_refusal(response, 400, "", "not valid JSON")
