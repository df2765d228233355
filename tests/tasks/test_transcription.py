"""Transcripts of made logits, and bundles that say too little for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service.errors import BundleError
from service.tasks.transcription.ctc import log_likelihood, log_softmax
from service.tasks.transcription.task import Transcription, TranscriptionRequest
from service.tasks.transcription.transcript import DecoderName, transcribe
from tests.fakes import make_manifest, task_of_manifest

NAMES = ["one", "two", "-"]
BLANK = 2
STEP_S = 0.02


def logits_of(path: list[int], clarity: float = 8.0) -> NDArray[np.float32]:
    return clarity * np.eye(len(NAMES), dtype=np.float32)[path]


@pytest.mark.parametrize("decoder", ["greedy", "beam"])
def test_words_are_in_order_with_their_times(decoder: DecoderName) -> None:
    logits = logits_of([2, 2, 0, 0, 2, 1, 2, 1, 1, 1])
    found = transcribe(logits, NAMES, BLANK, STEP_S, decoder)
    assert found["text"] == "one two two"
    times = [(word["label"], word["start_s"], word["end_s"]) for word in found["words"]]
    assert times == [("one", 0.04, 0.08), ("two", 0.1, 0.12), ("two", 0.14, 0.2)]
    sure = float(np.exp(log_softmax(logits)[2, 0]))
    assert [word["probability"] for word in found["words"]] == pytest.approx([sure] * 3)
    assert found["score"] == log_likelihood(log_softmax(logits), (0, 1, 1), BLANK)


@pytest.mark.parametrize(("said", "text"), [({}, "one two"), ({"separator": ""}, "onetwo")])
def test_a_bundle_says_what_stands_between_labels(said: dict[str, str], text: str) -> None:
    bundle = WHOLE | {"settings": {"task": "transcription", "blank": BLANK, **said}}
    task = task_of_manifest(make_manifest("sequences", **bundle))
    assert isinstance(task, Transcription)
    results = {task.manifest.outputs.logits: logits_of([0, 2, 1])}
    assert task.predict(TranscriptionRequest(), results, 3)["text"] == text


@pytest.mark.parametrize("decoder", ["greedy", "beam"])
@pytest.mark.parametrize("num_steps", [1, 40])
def test_silence_is_no_words(decoder: DecoderName, num_steps: int) -> None:
    found = transcribe(logits_of([BLANK] * num_steps), NAMES, BLANK, STEP_S, decoder)
    assert (found["text"], found["words"]) == ("", [])
    assert -0.1 < found["score"] <= 0


@pytest.mark.parametrize("seed", range(20))
def test_a_beam_finds_a_text_at_least_as_likely_as_the_likeliest_path(seed: int) -> None:
    logits = np.random.default_rng(seed).normal(0, 2, (30, 3)).astype(np.float32)
    scores = [
        transcribe(logits, NAMES, BLANK, STEP_S, decoder, 100)["score"]
        for decoder in ("greedy", "beam")
    ]
    assert scores[1] >= scores[0] - 1e-9


AUDIO = {"num_mels": 2}
WHOLE: dict[str, Any] = {
    "task": "transcription",
    "outputs": {"labels": NAMES, "per_step": True},
    "settings": {"task": "transcription", "blank": BLANK},
    "audio": AUDIO,
}


def test_a_whole_bundle_describes_itself() -> None:
    described = task_of_manifest(make_manifest("sequences", **WHOLE)).describe()
    assert (described["labels"], described["blank"]) == (NAMES, BLANK)
    assert described["max_duration_s"] == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"settings": None}, "settings: "),
        ({"settings": {"task": "transcription", "blank": 3}}, "outputs: "),
        ({"outputs": {"labels": NAMES}}, "outputs: "),
        ({"outputs": {"values": 3, "per_step": True}}, "outputs: "),
        ({"audio": None}, "audio: "),
    ],
)
def test_a_bundle_that_says_too_little_is_refused(changes: dict[str, Any], words: str) -> None:
    manifest = make_manifest("sequences", **(WHOLE | changes))
    with pytest.raises(BundleError, match=words):
        task_of_manifest(manifest)
