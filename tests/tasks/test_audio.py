"""Recordings in every common form come in; whatever else comes is refused, never a crash."""

from __future__ import annotations

import io
import struct
import wave

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.errors import InvalidSequenceError
from service.tasks.audio import read_recording

RATE_HZ = 8_000
MAX_DURATION_S = 2.0


def wobble(num_channels: int = 1) -> NDArray[np.float64]:
    """A tenth of a second, (samples, channels), no two channels alike."""
    times = np.arange(RATE_HZ // 10) / RATE_HZ
    channels = [0.5 * np.sin(2 * np.pi * (300 + 200 * c) * times) for c in range(num_channels)]
    return np.stack(channels, axis=1)


def encode(
    samples: NDArray[np.float64], kind: str = "WAV", subtype: str = "PCM_16", rate_hz: int = RATE_HZ
) -> bytes:
    body = io.BytesIO()
    soundfile.write(body, samples, rate_hz, format=kind, subtype=subtype)
    return body.getvalue()


WAV = encode(wobble())
FLAC = encode(wobble(), "FLAC")
OGG = encode(wobble(), "OGG", "VORBIS")


def refused(body: bytes) -> str:
    with pytest.raises(InvalidSequenceError) as refusal:
        read_recording(body, MAX_DURATION_S)
    assert refusal.value.field == "audio"
    return refusal.value.message


@pytest.mark.parametrize(
    ("kind", "subtype", "step"),
    [
        ("WAV", "PCM_U8", 2**-7),
        ("WAV", "PCM_16", 2**-15),
        ("WAV", "PCM_24", 2**-23),
        ("WAV", "PCM_32", 2**-23),  # float32 holds no more
        ("WAV", "FLOAT", 2**-23),
        ("WAV", "DOUBLE", 2**-23),
        ("WAVEX", "PCM_16", 2**-15),  # WAVE_FORMAT_EXTENSIBLE
        ("WAVEX", "PCM_24", 2**-23),
        ("FLAC", "PCM_16", 2**-15),
        ("FLAC", "PCM_24", 2**-23),
    ],
)
def test_samples_come_back_as_exactly_as_the_format_holds_them(
    kind: str, subtype: str, step: float
) -> None:
    samples, rate_hz = read_recording(encode(wobble(), kind, subtype), MAX_DURATION_S)
    assert rate_hz == RATE_HZ
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples, wobble()[:, 0], atol=step)


def test_ogg_is_heard_too() -> None:
    samples, rate_hz = read_recording(OGG, MAX_DURATION_S)
    assert rate_hz == RATE_HZ
    assert np.corrcoef(samples, wobble()[:, 0])[0, 1] > 0.95


def test_what_pythons_own_wave_module_writes_is_read() -> None:
    body = io.BytesIO()
    with wave.open(body, "wb") as recording:
        recording.setparams((1, 2, 11_025, 0, "NONE", "not compressed"))
        recording.writeframes(struct.pack("<4h", 0, 16_384, -32_768, 32_767))
    samples, rate_hz = read_recording(body.getvalue(), MAX_DURATION_S)
    assert rate_hz == 11_025
    assert samples.tolist() == [0.0, 0.5, -1.0, 32_767 / 32_768]


@pytest.mark.parametrize("num_channels", [2, 3])
def test_channels_are_mixed_to_their_mean(num_channels: int) -> None:
    body = encode(wobble(num_channels), "WAV", "FLOAT")
    samples, _ = read_recording(body, MAX_DURATION_S)
    np.testing.assert_allclose(samples, wobble(num_channels).mean(axis=1), atol=1e-6)


def test_a_wav_streamed_through_a_pipe_says_no_size_and_is_read() -> None:
    # its writer could not go back to fill in either size
    unknown = b"\xff\xff\xff\xff"
    streamed = WAV[:4] + unknown + WAV[8:40] + unknown + WAV[44:]
    assert WAV[36:40] == b"data"
    np.testing.assert_array_equal(
        read_recording(streamed, MAX_DURATION_S)[0], read_recording(WAV, MAX_DURATION_S)[0]
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "empty"),
        (b"RIFF", "not a recording"),
        (b"not a recording at all, but words", "not a recording"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a recording"),
        (encode(wobble(), "AIFF"), "neither WAV, FLAC nor Ogg"),
        (encode(wobble(), "MP3", "MPEG_LAYER_III"), "neither WAV, FLAC nor Ogg"),
        (WAV[: len(WAV) // 2], "truncated"),
        (WAV[:30], "truncated"),
        (FLAC[: len(FLAC) // 2], "not a recording"),
        (OGG[:60], "not a recording"),
        (encode(np.zeros((0, 1))), "no samples"),
        (encode(np.zeros((2 * RATE_HZ + 1, 1))), "lasts 2.00 s, the limit is 2.00 s"),
        (encode(np.zeros((3 * RATE_HZ, 1)), "FLAC"), "lasts 3.00 s, the limit is 2.00 s"),
    ],
    ids=range(13),  # Ogg has a number of chance in it
)
def test_what_cannot_be_heard_is_refused_by_name(body: bytes, message: str) -> None:
    assert message in refused(body)


def test_a_refusal_tells_nothing_of_the_servers_insides() -> None:
    assert "object at" not in refused(b"RIFF" + bytes(40))


def test_the_limit_itself_is_allowed() -> None:
    samples, _ = read_recording(encode(np.zeros((2 * RATE_HZ, 1))), MAX_DURATION_S)
    assert len(samples) == 2 * RATE_HZ


@pytest.mark.parametrize("whole", [WAV, FLAC, OGG], ids=["wav", "flac", "ogg"])
def test_however_a_file_is_cut_nothing_but_a_refusal_comes(whole: bytes) -> None:
    for size in range(0, len(whole), max(1, len(whole) // 60)):
        read_or_refuse(whole[:size])


def read_or_refuse(body: bytes) -> None:
    field = "audio"
    try:
        samples, rate_hz = read_recording(body, MAX_DURATION_S)
        assert samples.ndim == 1
        assert 0 < len(samples) <= MAX_DURATION_S * rate_hz
    except InvalidSequenceError as refusal:
        field = refusal.field
    assert field == "audio"


@settings(max_examples=150, deadline=None)
@given(
    start=st.sampled_from([b"", b"RIFF", WAV[:20], WAV[:44], FLAC[:4], FLAC[:42], OGG[:58]]),
    rest=st.binary(max_size=300),
)
def test_arbitrary_bytes_are_read_or_refused(start: bytes, rest: bytes) -> None:
    read_or_refuse(start + rest)


@settings(max_examples=150, deadline=None)
@given(
    whole=st.sampled_from([WAV, FLAC, OGG, encode(wobble(2), "WAV", "FLOAT")]),
    changes=st.lists(st.tuples(st.integers(0, 199), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_files_with_wrong_bytes_are_read_or_refused(
    whole: bytes, changes: list[tuple[int, int]]
) -> None:
    damaged = bytearray(whole)
    for place, value in changes:
        damaged[place] = value
    read_or_refuse(bytes(damaged))
