"""Classifiers of texts over HTTP: measured again on real lines, and requests that are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.bundles.some import serving_some
from tests.http.payloads import predict_path
from tests.http.refusals import check_refusal
from tests.servers import REPOSITORY
from training.data.texts.tsv import read_tsv

SAMPLE = Path(__file__).parents[1] / "data" / "languages_test.tsv"
CLASSIFIERS = ["languages-gru", "languages-transformer"]
MAX_SEQUENCES = 100  # of one request here


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving_some("languages-*") as server:
        yield server.client


def ask(client: httpx.Client, model: str, **body: Any) -> list[dict[str, Any]]:
    response = client.post(predict_path(model), json=body)
    assert response.status_code == 200, response.text
    predictions: list[dict[str, Any]] = response.json()["predictions"]
    return predictions


@pytest.mark.parametrize("model", CLASSIFIERS)
def test_the_test_split_scores_what_the_metrics_say(client: httpx.Client, model: str) -> None:
    items = read_tsv(SAMPLE)
    rights = 0
    for start in range(0, len(items), MAX_SEQUENCES):
        chosen = items[start : start + MAX_SEQUENCES]
        predictions = ask(client, model, texts=[item.text for item in chosen])
        rights += sum(
            prediction["label"] == item.label
            for prediction, item in zip(predictions, chosen, strict=True)
        )
    metrics = json.loads((REPOSITORY / model / "1" / "metrics.json").read_text())
    assert metrics["sequences"]["test"] == len(items)
    # onnxruntime and torch differ by 1e-6: of two thousand lines one may be as good as a tie
    assert rights / len(items) == pytest.approx(metrics["test"]["accuracy"], abs=1e-3)


@pytest.mark.parametrize("model", CLASSIFIERS)
def test_a_text_answers_alike_in_any_company_and_white_space(
    client: httpx.Client, model: str
) -> None:
    texts = ["un éditeur de texte léger", "een", "ein Werkzeug zum Bearbeiten von Bildern " * 20]
    together = ask(client, model, texts=texts, top_k=3)
    for text, prediction in zip(texts, together, strict=True):
        (alone,) = ask(client, model, texts=f" {text.replace(' ', chr(10))}\t", top_k=3)
        assert alone["label"] == prediction["label"] == prediction["top"][0]["label"]
        assert alone["probability"] == pytest.approx(prediction["probability"], abs=1e-4)
        assert len(alone["top"]) == 3
    assert [together[0]["label"], together[2]["label"]] == ["fr", "de"]


def occluded(text: str) -> list[str]:
    return [f"{text[:place]}\ufffd{text[place + 1 :]}" for place in range(len(text))]


@pytest.mark.parametrize("model", CLASSIFIERS)
def test_attention_is_shown_where_there_is_any(client: httpx.Client, model: str) -> None:
    (prediction,) = ask(client, model, texts="ein Spiel", explain=True)
    if model == "languages-gru":
        assert prediction["attention"] is None
        without = ask(client, model, texts=occluded("ein Spiel"), top_k=15)
        found = [
            rank["probability"] for each in without for rank in each["top"] if rank["label"] == "de"
        ]
        lost = prediction["probability"] - np.array(found)
        assert prediction["label"] == "de"
        np.testing.assert_allclose(prediction["occlusion"], lost, atol=1e-5)
    else:
        assert len(prediction["attention"]) == len("ein Spiel")
        assert sum(prediction["attention"]) == pytest.approx(1, abs=1e-5)


BAD: dict[str, tuple[Any, int, str, str]] = {
    "no input": ({}, 400, "texts", "required"),
    "no text": ({"texts": ["a", ""]}, 422, "texts[1]", "blank"),
    "blank": ({"texts": "\u00a0"}, 422, "texts[0]", "blank"),
    "a megabyte": ({"texts": ["a", "x" * 1_000_000]}, 422, "texts[1]", "1000000 characters"),
    "over the limit": ({"texts": ["x" * 1_001]}, 422, "texts[0]", "1001"),
    "a number": ({"texts": ["a", 3]}, 400, "texts[1]", "str"),
    "a control character": ({"texts": "\x1b[0m"}, 422, "texts[0]", "U+001B, at character 0"),
    "none at all": ({"texts": []}, 422, "texts", ""),
    "top_k of none": ({"texts": "a", "top_k": 0}, 400, "top_k", "1 to 1000"),
    "an unknown field": ({"texts": "a", "tokens": []}, 400, "tokens", "unknown"),
}


@pytest.mark.parametrize("which", BAD)
def test_what_is_refused_names_its_field(client: httpx.Client, which: str) -> None:
    body, status, field, words = BAD[which]
    response = client.post(predict_path("languages-gru"), json=body)
    check_refusal(response, status, field, words)
    assert ask(client, "languages-gru", texts="ein Spiel")[0]["label"]
