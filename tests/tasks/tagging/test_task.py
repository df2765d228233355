"""Requests to a tagger become ids, and logits become tags in the caller's own text."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.testing import assert_allclose

from service.errors import BundleError, InvalidRequestError, InvalidSequenceError
from service.tasks.registry import task_of
from service.tasks.tagging.task import TaggingRequest, TaggingTask
from service.tasks.tagging.viterbi import Transitions
from service.tasks.task import Bundle
from service.tasks.text.vocabulary import Vocabulary
from tests.fakes import make_manifest

LABELS = ["O", "B-NAME", "I-NAME"]
WORDS = Vocabulary(["in", "mr.", "smith", "."])
CHARACTERS = Vocabulary(list("MSmithrn."))
FILES = {"words.txt": WORDS.to_bytes(), "characters.txt": CHARACTERS.to_bytes()}
BAN = np.zeros((3, 3))
BAN[0, 2] = -1e4
TRANSITIONS = Transitions(BAN, np.array([0, 0, -1e4]), np.zeros(3))


def make_task(
    labels: list[str] = LABELS, files: dict[str, bytes] = FILES, weights: bool = False, **more: Any
) -> TaggingTask:
    settings = {"task": "tagging", "num_characters": 3, "max_characters": 40, **more}
    manifest = make_manifest(
        batching="sequences",
        task="tagging",
        inputs={"tokens": [6, 11, 11, 11]},
        outputs={"labels": labels, "per_step": True, "weights": "weights" if weights else None},
        settings=settings,
        profile={"length_quantiles": {"0.5": 7}},
    )
    task = task_of(Bundle(manifest, files.__getitem__))
    assert isinstance(task, TaggingTask)
    return task


def ask(**fields: Any) -> TaggingRequest:
    return msgspec.convert(fields, TaggingRequest)


def logits_for(*tags: list[int], size: float = 5.0) -> dict[str, np.ndarray]:
    """Logits in favour of these tags, rubbish past each sentence's."""
    longest = max(map(len, tags))
    logits = np.full((len(tags), longest, len(LABELS)), 1e30, dtype=np.float32)
    for row, own in zip(logits, tags, strict=True):
        row[: len(own)] = size * np.eye(len(LABELS))[own]
    return {"logits": logits}


def test_words_become_ids_and_tags_come_back_in_the_callers_text() -> None:
    task = make_task()
    text = "In  Mr. Smith\u2019s Zoë."
    work = task.read(ask(texts=[text, "in"]))
    assert work.field == "texts"
    assert [sequence[:, 0].tolist() for sequence in work.asked] == [[2, 3, 1, 1, 5], [2]]
    first, second = work.answer(logits_for([0, 1, 2, 2, 0], [0]))
    assert [token["text"] for token in first["tokens"]] == ["In", "Mr.", "Smith\u2019s", "Zoë", "."]
    assert [token["tag"] for token in first["tokens"]] == ["O", "B-NAME", "I-NAME", "I-NAME", "O"]
    assert [token["known"] for token in first["tokens"]] == [True, True, False, False, True]
    assert first["unknown_tokens"] == 2
    for token in first["tokens"]:
        assert text[token["start"] : token["end"]] == token["text"]
        assert token["probability"] == pytest.approx(np.exp(5) / (np.exp(5) + 2))
    (span,) = first["spans"]
    assert text[span["start"] : span["end"]] == span["text"] == "Mr. Smith\u2019s Zoë"
    assert span["label"] == "NAME"
    assert span["score"] == min(token["probability"] for token in first["tokens"][1:4])
    assert first["score"] == pytest.approx((np.exp(5) / (np.exp(5) + 2)) ** 5)
    assert second["spans"] == []
    assert "attention" not in second
    assert "alternatives" not in second["tokens"][0]


def test_words_that_a_caller_parted_have_no_places() -> None:
    task = make_task()
    work = task.read(ask(tokens=[["Mr.", "van Smith"]]))
    assert work.field == "tokens"
    (prediction,) = work.answer(logits_for([1, 2]))
    assert prediction["tokens"][1] | {"probability": 0} == {
        "text": "van Smith",
        "start": None,
        "end": None,
        "tag": "I-NAME",
        "probability": 0,
        "known": False,
    }
    (span,) = prediction["spans"]
    assert (span["text"], span["start"], span["end"]) == ("Mr. van Smith", None, None)


def test_transitions_forbid_what_the_logits_want() -> None:
    task = make_task(files={**FILES, "crf.npz": TRANSITIONS.to_bytes()}, transitions="crf.npz")
    work = task.read(ask(texts="in Smith ."))
    (prediction,) = work.answer(logits_for([0, 2, 0], size=1.0))
    tags = [token["tag"] for token in prediction["tokens"]]
    assert tags == ["O", "O", "O"]  # alone, the second would be I-NAME
    (alone,) = make_task().read(ask(texts="in Smith .")).answer(logits_for([0, 2, 0], size=1.0))
    assert [token["tag"] for token in alone["tokens"]] == ["O", "I-NAME", "O"]


def test_explanations_are_alternatives_and_the_attention_there_is() -> None:
    task = make_task(weights=True)
    work = task.read(ask(texts=["in Smith", "in"], explain=True))
    weights = np.array([[0.25, 0.75], [1.0, 0.0]], dtype=np.float32)
    first, second = work.answer(logits_for([0, 1], [0]) | {"weights": weights})
    assert first["attention"] == [0.25, 0.75]
    assert second["attention"] == [1.0]
    for token in first["tokens"]:
        ranked = token["alternatives"]
        assert {item["label"] for item in ranked} == set(LABELS)
        assert ranked[0] == {"label": token["tag"], "probability": token["probability"]}
        assert_allclose(sum(item["probability"] for item in ranked), 1)
    (prediction,) = make_task().read(ask(texts="in", explain=True)).answer(logits_for([0]))
    assert prediction["attention"] is None


def test_tags_of_classes_mark_no_spans() -> None:
    task = make_task(labels=["NN", "VB", "AT"])
    (prediction,) = task.read(ask(texts="in")).answer(logits_for([1]))
    assert prediction["tokens"][0]["tag"] == "VB"
    assert prediction["spans"] == []


BAD_REQUESTS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "neither": ({}, InvalidRequestError, "texts"),
    "both": ({"texts": "a", "tokens": [["a"]]}, InvalidRequestError, "texts"),
    "empty": ({"texts": ""}, InvalidSequenceError, "texts[0]"),
    "blank": ({"texts": ["in", " \n"]}, InvalidSequenceError, "texts[1]"),
    "too long": ({"texts": ["in", "x" * 41]}, InvalidSequenceError, "texts[1]"),
    "control": ({"texts": "in\0"}, InvalidSequenceError, "texts[0]"),
    "surrogate": ({"texts": "in\ud800"}, InvalidSequenceError, "texts[0]"),
    "no words": ({"tokens": [["in"], []]}, InvalidSequenceError, "tokens[1]"),
    "blank word": ({"tokens": [["in", " "]]}, InvalidSequenceError, "tokens[0][1]"),
    "control in a word": ({"tokens": [["in"], ["\x1b"]]}, InvalidSequenceError, "tokens[1][0]"),
}


@pytest.mark.parametrize("which", BAD_REQUESTS)
def test_a_bad_request_names_its_field(which: str) -> None:
    fields, kind, field = BAD_REQUESTS[which]
    with pytest.raises(kind) as refused:
        make_task().read(ask(**fields))
    assert getattr(refused.value, "field", None) == field


def test_vocabularies_must_be_of_the_graphs_sizes() -> None:
    files = {**FILES, "words.txt": b"one\n"}
    with pytest.raises(BundleError, match="sizes"):
        make_task(files=files)
