"""Connected digits over HTTP: as good as their metrics say; an answer or a reason to all else."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.tasks.features import LogMel
from service.tasks.transcription.ctc import greedy, log_softmax
from tests.http.payloads import WAV, Frames, infer_path, predict_path, to_base64, wav
from tests.http.refusals import refuse
from tests.servers import REPOSITORY, serving
from tests.training.recordings import example_recordings
from training.data.frames.connected import (
    SAMPLE_RATE_HZ,
    TEST_SEED,
    Utterance,
    make_utterances,
    split_recordings,
)
from training.data.frames.fsdd import ARCHIVE_FILE, read_archive
from training.fit.edits import distances, error_rate

BUNDLES = ["spoken-digits-lstm", "spoken-digits-transformer"]
EXPLAINING = ["spoken-digits-transformer"]
MAX_DURATION_S = {"spoken-digits-lstm": 20.0, "spoken-digits-transformer": 9.20}
SAMPLE_SEQUENCES = 40


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Of a server of these bundles, and of one that `refuse` asks."""
    folder = tmp_path_factory.mktemp("repository")
    for model in [*BUNDLES, "digits-lstm"]:
        (folder / model).symlink_to(REPOSITORY / model)
    with serving(folder) as server:
        yield server.client


@cache
def utterances(count: int = 16) -> list[Utterance]:
    """Sequences of the example recordings, all of the official test split."""
    return make_utterances(example_recordings(), count, seed=11)


@cache
def features_of(model: str) -> LogMel:
    manifest = json.loads((REPOSITORY / model / "1" / "model.json").read_text())
    return LogMel(**manifest["audio"])


def text_of(utterance: Utterance) -> str:
    return " ".join(map(str, utterance.digits))


def transcripts(
    client: httpx.Client, model: str, samples: list[Frames], **options: Any
) -> list[dict[str, Any]]:
    body = {"audio": [to_base64(wav(item)) for item in samples], **options}
    response = client.post(predict_path(model), json=body)
    assert response.status_code == 200, response.text
    predictions: list[dict[str, Any]] = response.json()["predictions"]
    return predictions


def digits_of(predictions: list[dict[str, Any]]) -> list[list[int]]:
    return [[int(word["label"]) for word in item["words"]] for item in predictions]


@pytest.mark.parametrize("model", BUNDLES)
@pytest.mark.parametrize("options", [{}, {"decoder": "beam"}, {"decoder": "beam", "beam": 50}])
def test_what_is_said_is_written_down(
    client: httpx.Client, model: str, options: dict[str, Any]
) -> None:
    asked = utterances()
    found = transcripts(client, model, [item.samples for item in asked], **options)
    assert error_rate(digits_of(found), [item.digits for item in asked]) < 0.15
    for item, utterance in zip(found, asked, strict=True):
        assert item["text"] == " ".join(word["label"] for word in item["words"])
        assert item["score"] <= 0
        times = [time for word in item["words"] for time in (word["start_s"], word["end_s"])]
        assert times == sorted(times)
        assert all(0 < word["probability"] <= 1 for word in item["words"])
        assert not times or times[-1] <= len(utterance.samples) / SAMPLE_RATE_HZ + 0.04


@pytest.mark.parametrize("model", BUNDLES)
def test_words_are_where_they_are_said(client: httpx.Client, model: str) -> None:
    asked = utterances()
    found = transcripts(client, model, [item.samples for item in asked])
    apart = []
    for item, utterance in zip(found, asked, strict=True):
        if item["text"] != text_of(utterance):
            continue
        for word, (start_s, end_s) in zip(item["words"], utterance.spans_s, strict=True):
            middle_s = (word["start_s"] + word["end_s"]) / 2
            apart.append(max(start_s - middle_s, middle_s - end_s, 0.0))
    assert len(apart) > 20
    assert float(np.mean(np.array(apart) < 0.2)) > 0.9


@pytest.mark.parametrize("model", BUNDLES)
def test_errors_are_those_of_the_bundles_metrics(client: httpx.Client, model: str) -> None:
    archive = Path(os.environ.get("SEQSERVE_DATA_DIR", "")) / ARCHIVE_FILE
    if not archive.is_file():
        pytest.skip(f"no {ARCHIVE_FILE} in SEQSERVE_DATA_DIR")
    metrics = json.loads((REPOSITORY / model / "1" / "metrics.json").read_text())
    errors, test = metrics["test_errors"], metrics["test"]
    assert len(errors) == metrics["sequences"]["test"]
    assert sum(errors) / test["digits"] == pytest.approx(test["digit_error_rate"])
    asked = official_utterances(archive)
    found = transcripts(client, model, [item.samples for item in asked])
    now = distances(digits_of(found), [item.digits for item in asked])
    assert abs(sum(now) - sum(errors[:SAMPLE_SEQUENCES])) <= 1  # rounding may tip a digit


@cache
def official_utterances(archive: Path) -> list[Utterance]:
    """The first sequences of the official test set."""
    return make_utterances(split_recordings(read_archive(archive))[2], SAMPLE_SEQUENCES, TEST_SEED)


@pytest.mark.parametrize("model", BUNDLES)
def test_silence_noise_and_clipping_get_a_sane_answer(client: httpx.Client, model: str) -> None:
    random = np.random.default_rng(0)
    silence = np.zeros(2 * SAMPLE_RATE_HZ, dtype=np.float32)
    hiss = random.normal(0, 0.02, len(silence)).astype(np.float32)
    click = silence.copy()
    click[5_000:5_010] = 0.9
    for options in ({}, {"decoder": "beam", "beam": 5}):
        quiet = transcripts(client, model, [silence, hiss, silence[:1], silence[:80]], **options)
        assert [item["text"] for item in quiet] == [""] * 4
        assert all(item["words"] == [] for item in quiet)
    square = np.sign(np.sin(np.arange(16_000) * 0.3)).astype(np.float32)
    loud = (utterances()[0].samples * 1e4).clip(-1, 1)
    for item in transcripts(
        client, model, [click, square, loud, random.choice([-1.0, 1.0], 9_000)]
    ):
        assert len(item["words"]) <= 20


def test_another_sample_rate_says_the_same(client: httpx.Client) -> None:
    asked = [item for item in utterances() if item.digits][:6]
    expected = [
        item["text"] for item in transcripts(client, BUNDLES[0], [a.samples for a in asked])
    ]
    same = 0
    for item, text in zip(asked, expected, strict=True):
        times = np.arange(2 * len(item.samples)) / 2
        doubled = np.interp(times, np.arange(len(item.samples)), item.samples).astype(np.float32)
        body = wav(doubled, 2 * SAMPLE_RATE_HZ)
        response = client.post(predict_path(BUNDLES[0]), content=body, headers=WAV)
        same += response.json()["predictions"][0]["text"] == text
    assert same >= 5


@pytest.mark.parametrize("model", BUNDLES)
def test_a_recording_as_the_body_with_options_in_the_query(
    client: httpx.Client, model: str
) -> None:
    samples = utterances()[1].samples
    query = "?decoder=beam&beam=20&explain=true"
    response = client.post(predict_path(model) + query, content=wav(samples), headers=WAV)
    assert response.status_code == 200, response.text
    (prediction,) = response.json()["predictions"]
    (same,) = transcripts(client, model, [samples], decoder="beam", beam=20)
    assert prediction["text"] == same["text"]
    posteriors = np.array(prediction["posteriors"])
    num_frames = features_of(model).num_frames(len(samples), SAMPLE_RATE_HZ)
    assert posteriors.shape == (num_frames, 11)
    np.testing.assert_allclose(posteriors.sum(axis=1), 1.0, atol=1e-6)
    if model in EXPLAINING:
        assert sum(prediction["attention"]) == pytest.approx(1.0, abs=1e-4)
    else:
        assert prediction["attention"] is None


@pytest.mark.parametrize("model", BUNDLES)
def test_v2_gives_the_logits_that_the_task_reads(client: httpx.Client, model: str) -> None:
    samples = utterances()[2].samples
    frames = features_of(model).frames(samples, SAMPLE_RATE_HZ)
    inputs = [
        {"name": "inputs", "shape": [1, *frames.shape], "datatype": "FP32",
         "data": frames.ravel().tolist()},
        {"name": "lengths", "shape": [1], "datatype": "INT64", "data": [len(frames)]},
    ]  # fmt: skip
    response = client.post(infer_path(model), json={"inputs": inputs})
    output = response.json()["outputs"][0]
    assert output["shape"] == [1, len(frames), 11]
    logits = np.array(output["data"], dtype=np.float32).reshape(len(frames), 11)
    (prediction,) = transcripts(client, model, [samples])
    assert [*greedy(log_softmax(logits), 10)] == digits_of([prediction])[0]


def test_the_models_are_described(client: httpx.Client) -> None:
    listed = {item["name"]: item for item in client.get("/v1/models").json()["models"]}
    for model in BUNDLES:
        assert listed[model]["task"] == "transcription"
        assert listed[model]["labels"] == [*"0123456789", "blank"]
        assert listed[model]["blank"] == 10
        assert listed[model]["max_duration_s"] == pytest.approx(MAX_DURATION_S[model], abs=0.05)
        assert listed[model]["quality"]["metric"] == "digit_error_rate"


BAD_FIELDS: dict[str, tuple[dict[str, Any], int, str]] = {
    "beam of 0": ({"beam": 0}, 422, "beam"),
    "beam below 0": ({"decoder": "beam", "beam": -1}, 422, "beam"),
    "beam of 1000": ({"decoder": "beam", "beam": 1000}, 422, "beam"),
    "beam that is no whole number": ({"beam": 2.5}, 400, "beam"),
    "beam that is text": ({"beam": "wide"}, 400, "beam"),
    "unknown decoder": ({"decoder": "viterbi"}, 400, "decoder"),
    "decoder that is no text": ({"decoder": 7}, 400, "decoder"),
    "unknown field": ({"top_k": 3}, 400, "top_k"),
    "explain that is no boolean": ({"explain": "yes"}, 400, "explain"),
}


@pytest.mark.parametrize("which", BAD_FIELDS)
def test_bad_fields_are_named(client: httpx.Client, which: str) -> None:
    options, status, field = BAD_FIELDS[which]
    for given in (
        {"audio": to_base64(wav(utterances()[0].samples))},
        {"sequences": [[[0.0] * 40]]},
    ):
        refuse(client, predict_path(BUNDLES[0]), {**given, **options}, status, field)


def test_what_is_too_long_is_refused_before_it_is_decoded(client: httpx.Client) -> None:
    ten_minutes = wav(np.zeros(600 * SAMPLE_RATE_HZ, dtype=np.float32))
    began_s = time.monotonic()
    refuse(client, predict_path(BUNDLES[0]), ten_minutes, 422, "audio", "600.00 s", headers=WAV)
    body = {"audio": [to_base64(wav(utterances()[0].samples)), to_base64(ten_minutes)]}
    refuse(client, predict_path(BUNDLES[0]), body, 422, "audio[1]", "600.00 s")
    assert time.monotonic() - began_s < 10
    steps = [[0.0] * 40] * 1_100
    refuse(client, predict_path(BUNDLES[0]), {"sequences": [steps]}, 422, "sequences[0]")


def test_more_than_a_request_may_have_decoded_is_refused(client: httpx.Client) -> None:
    steps = [[-10.0] * 40] * 900
    body = {"sequences": [steps] * 3, "decoder": "beam", "beam": 100}
    refuse(client, predict_path(BUNDLES[0]), body, 422, "beam", "200000")
    assert client.post(predict_path(BUNDLES[0]), json=body | {"beam": 5}).status_code == 200
