"""Recordings good and bad: mixed down, any sample format, and refused with a reason."""

from __future__ import annotations

import io
import struct
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from tests.http.payloads import (
    RECORDING,
    WAV,
    predict_path,
    samples_of,
    to_base64,
    wav,
)
from tests.http.refusals import refuse

SAMPLES, RATE_HZ = samples_of(RECORDING)


def label(client: httpx.Client, recording: bytes, kind: str = "audio/wav") -> Any:
    """The one prediction of a recording, all labels listed."""
    path = predict_path() + "?top_k=10"
    response = client.post(path, content=recording, headers={"Content-Type": kind})
    assert response.status_code == 200, response.text
    (prediction,) = response.json()["predictions"]
    return {ranked["label"]: ranked["probability"] for ranked in prediction["top"]}


def test_stereo_answers_as_its_mean(client: httpx.Client) -> None:
    same = np.stack([SAMPLES, SAMPLES], axis=1)
    assert label(client, wav(same)) == pytest.approx(label(client, RECORDING), abs=1e-5)
    random = np.random.default_rng(0).normal(0, 0.05, len(SAMPLES)).astype(np.float32)
    apart = np.stack([SAMPLES * 0.5 + random, SAMPLES * 0.5 - random], axis=1)
    halved = wav(SAMPLES * 0.5, subtype="FLOAT")
    mixed = label(client, wav(apart, subtype="FLOAT"))
    assert mixed == pytest.approx(label(client, halved), abs=1e-4)
    many = np.repeat(SAMPLES[:, None], 7, axis=1)
    assert label(client, wav(many)) == pytest.approx(label(client, RECORDING), abs=1e-5)


@pytest.mark.parametrize("subtype", ["PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_finer_sample_formats_answer_alike(client: httpx.Client, subtype: str) -> None:
    finer = label(client, wav(SAMPLES, subtype=subtype))
    assert finer == pytest.approx(label(client, RECORDING), abs=1e-5)


@pytest.mark.parametrize("subtype", ["PCM_U8", "ULAW", "ALAW"])
def test_coarser_sample_formats_are_read(client: httpx.Client, subtype: str) -> None:
    assert sum(label(client, wav(SAMPLES, subtype=subtype)).values()) == pytest.approx(1)


def test_flac_answers_as_wav(client: httpx.Client) -> None:
    file = io.BytesIO()
    soundfile.write(file, SAMPLES, RATE_HZ, format="FLAC", subtype="PCM_16")
    for kind in ("audio/flac", "application/octet-stream"):
        answer = label(client, file.getvalue(), kind)
        assert answer == pytest.approx(label(client, RECORDING), abs=1e-5)


def test_another_sample_rate_is_answered_by_its_own_frequencies(client: httpx.Client) -> None:
    answers = [label(client, wav(SAMPLES, rate_hz)) for rate_hz in (8_000, 16_000, 44_100)]
    # the same samples played faster are another sound
    assert answers[0] != pytest.approx(answers[1], abs=1e-6)
    assert answers[1] != pytest.approx(answers[2], abs=1e-6)


def test_a_streamed_wav_without_its_size_is_read(client: httpx.Client) -> None:
    for unknown in (0, 0xFFFFFFFF):
        header = RECORDING[:4] + struct.pack("<I", unknown) + RECORDING[8:]
        assert label(client, header) == pytest.approx(label(client, RECORDING), abs=1e-5)


def test_chunks_beside_the_samples_are_passed_over(client: httpx.Client) -> None:
    program = b"ISFT" + struct.pack("<I", 6) + b"Lavf5\0"
    chunk = b"LIST" + struct.pack("<I", 4 + len(program)) + b"INFO" + program
    size = struct.unpack_from("<I", RECORDING, 4)[0] + len(chunk)
    longer = b"RIFF" + struct.pack("<I", size) + RECORDING[8:36] + chunk + RECORDING[36:]
    assert label(client, longer) == pytest.approx(label(client, RECORDING), abs=1e-5)


NOT_RECORDINGS = {
    "empty": (b"", "empty"),
    "a byte short": (RECORDING[:-1], "truncated"),
    "half": (RECORDING[: len(RECORDING) // 2], "truncated"),
    "header only": (RECORDING[:44], "truncated"),
    "part of the header": (RECORDING[:20], "truncated"),
    "four bytes": (b"RIFF", "recording"),
    "text": (b"seven" * 100, "not a recording"),
    "JSON": (b'{"sequences": []}', "not a recording"),
    "MP3": (b"ID3\x03" + b"\0" * 200, "not a recording"),
    "AIFF": (b"FORM" + struct.pack(">I", 100) + b"AIFF" + b"\0" * 92, "not a recording"),
    "RIFF of another kind": (b"RIFF" + struct.pack("<I", 104) + b"AVI " + b"\0" * 100, "recording"),
    "no samples": (wav(SAMPLES[:0]), "no samples"),
    "too slow": (wav(SAMPLES, 3_999), "3999"),
    "too fast": (wav(SAMPLES, 192_001), "192001"),
    "too long": (wav(np.zeros(300 * 4_000, dtype=np.float32), 4_000), "300.00 s"),
    "not finite": (wav(np.array([0, np.nan, 1], dtype=np.float32), subtype="FLOAT"), "NaN"),
    "infinite": (wav(np.array([0, np.inf, 1], dtype=np.float32), subtype="FLOAT"), "infinite"),
}


@pytest.mark.parametrize("which", NOT_RECORDINGS)
def test_what_is_no_recording_is_refused_whichever_way_it_comes(
    client: httpx.Client, which: str
) -> None:
    body, words = NOT_RECORDINGS[which]
    refuse(client, predict_path(), body, 422, "audio", words, headers=WAV)
    texts = [to_base64(RECORDING), to_base64(body)]
    refuse(client, predict_path(), {"audio": texts}, 422, "audio[1]", "audio[1]", words)


def test_samples_too_large_for_the_features_are_refused(client: httpx.Client) -> None:
    loud = wav(np.full(800, 3e38, dtype=np.float32), subtype="FLOAT")
    response = client.post(predict_path(), content=loud, headers=WAV)
    assert response.status_code == 422
    assert response.json()["field"].startswith("audio")


@pytest.mark.parametrize("text", ["%%%", "QQ", "QUJD\n", "é", "\0", "data:audio/wav;base64,QUJD"])
def test_bad_base64(client: httpx.Client, text: str) -> None:
    body = {"audio": [to_base64(RECORDING), text]}
    refuse(client, predict_path(), body, 400, "audio[1]", "base64")
    refuse(client, predict_path(), {"audio": text}, 400, "audio[0]", "base64")


@pytest.mark.parametrize("audio", [7, [7], {"data": "QUJD"}, [["QUJD"]], True])
def test_audio_that_is_no_text(client: httpx.Client, audio: Any) -> None:
    field = "audio[0]" if isinstance(audio, list) else "audio"
    refuse(client, predict_path(), {"audio": audio}, 400, field, "Expected")
