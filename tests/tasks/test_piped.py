"""Recordings as programs write them to pipes: as long as what came, unless more was meant."""

from __future__ import annotations

import io
import os
import struct
import threading
import wave
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.errors import InvalidSequenceError
from service.tasks.audio import read_recording

FOLDER = Path(__file__).parent / "piped"
WRITTEN = sorted(path.name for path in FOLDER.iterdir() if path.suffix != ".md")
SAMPLES = np.arange(100) * 100 / 32_768
RATE_HZ, MAX_S = 8_000, 60.0
LOSSY = {"ffmpeg_vorbis.ogg", "ffmpeg_opus.ogg"}
PLACEHOLDERS = [0, 0x7FFFEFFC, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF]


def samples_of(body: bytes) -> NDArray[np.float32]:
    samples, rate_hz = read_recording(body, MAX_S)
    assert rate_hz == RATE_HZ
    return samples


def refused(body: bytes, words: str, max_s: float = MAX_S) -> None:
    with pytest.raises(InvalidSequenceError, match=words) as refusal:
        read_recording(body, max_s)
    assert refusal.value.field == "audio"


@pytest.mark.parametrize("name", WRITTEN)
def test_all_that_came_is_read(name: str) -> None:
    samples = samples_of((FOLDER / name).read_bytes())
    assert len(samples) == 100
    if name not in LOSSY:
        np.testing.assert_allclose(samples, SAMPLES, rtol=0, atol=1e-7)


def written_by_wave(chunks: list[bytes]) -> bytes:
    """What Python's `wave` writes to a real pipe; at its end it fails, as it can't go back."""
    reading, writing = os.pipe()
    found = bytearray()

    def read() -> None:
        with os.fdopen(reading, "rb") as pipe:
            found.extend(pipe.read())

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(writing, "wb") as pipe:
        writer = wave.open(pipe, "wb")  # noqa: SIM115 - its end is what this is about
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE_HZ)
        for chunk in chunks:
            writer.writeframesraw(chunk)
        with pytest.raises(OSError, match="seek"):
            writer.close()
    reader.join()
    return bytes(found)


@pytest.mark.parametrize("first", [0, 1, 10, 99])
def test_pythons_wave_says_how_long_the_first_chunk_was(first: int) -> None:
    values = (SAMPLES * 32_768).astype("<i2")
    body = written_by_wave([values[:first].tobytes(), values[first:].tobytes()])
    assert struct.unpack_from("<I", body, 40) == (2 * first,)
    np.testing.assert_allclose(samples_of(body), SAMPLES, rtol=0, atol=1e-7)


def wav_of(
    values: NDArray[np.int16],
    *,
    form: int | None = None,
    data: int | None = None,
    before: bytes = b"",
    after: bytes = b"",
    kind: bytes = b"RIFF",
) -> bytes:
    """A WAV, by its specification, with these sizes in its header; those that are right if None."""
    blob = values.astype("<i2").tobytes()
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)
    chunks = before + fmt + struct.pack("<4sI", b"data", len(blob) if data is None else data)
    size = 4 + len(chunks) + len(blob) + len(after) if form is None else form
    return struct.pack("<4sI4s", kind, size, b"WAVE") + chunks + blob + after


LIST = struct.pack("<4sI4s", b"LIST", 4, b"INFO")


@given(
    st.integers(1, 40),
    st.sampled_from(PLACEHOLDERS),
    st.sampled_from([None, *PLACEHOLDERS]),
    st.sampled_from([b"", LIST, struct.pack("<4sI", b"odd ", 3) + b"abc\0"]),
)
def test_an_open_size_is_what_came(count: int, data: int, form: int | None, before: bytes) -> None:
    values = np.arange(1, count + 1, dtype=np.int16)
    found = samples_of(wav_of(values, data=data, form=form, before=before))
    np.testing.assert_array_equal(np.round(found * 32_768), values)


@given(st.integers(1, 40), st.integers(1, 80))
def test_a_size_that_was_meant_is_missed(count: int, missing: int) -> None:
    values = np.arange(1, count + 1, dtype=np.int16)
    size = 2 * count + missing
    for form in (None, *PLACEHOLDERS, 36 + size):
        refused(wav_of(values, data=size, form=form), "truncated")


@given(st.integers(0, 20), st.lists(st.binary(max_size=9), max_size=3))
def test_chunks_after_the_samples_are_no_samples(count: int, texts: list[bytes]) -> None:
    after = b"".join(
        struct.pack("<4sI", b"note", len(text)) + text + bytes(len(text) % 2) for text in texts
    )
    body = wav_of(np.arange(1, count + 1, dtype=np.int16), after=after)
    if count:
        assert len(samples_of(body)) == count
    else:
        refused(body, "no samples")


@pytest.mark.parametrize("kind", [b"RF64", b"BW64"])
@pytest.mark.parametrize("known", [True, False])
def test_large_forms_have_their_sizes_elsewhere(kind: bytes, known: bool) -> None:
    values = np.arange(100, dtype=np.int16)
    sizes = (36 + 36 + 200, 200, 100) if known else (0, 0, 0)
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, *sizes, 0)
    body = wav_of(values, form=0xFFFFFFFF, data=0xFFFFFFFF, before=ds64, kind=kind)
    assert len(samples_of(body)) == 100
    if known:
        assert len(samples_of(body + LIST)) == 100
        refused(body[:-1], "truncated")


@pytest.mark.parametrize("name", ["flac.flac", "sox.flac", "ffmpeg.flac", "ffmpeg_vorbis.ogg"])
def test_of_a_part_the_decoder_can_tell(name: str) -> None:
    body = (FOLDER / name).read_bytes()
    for missing in (1, 10, len(body) // 3):
        refused(body[:-missing], "recording|truncated")


def test_a_long_ogg_that_ends_within_a_page_is_truncated() -> None:
    file = io.BytesIO()
    noise = np.random.default_rng(0).normal(0, 0.1, 20 * RATE_HZ)
    soundfile.write(file, noise, RATE_HZ, format="OGG", subtype="VORBIS")
    body = file.getvalue()
    assert len(samples_of(body)) == 20 * RATE_HZ
    refused(body[: len(body) // 2], "truncated")
    refused(body[:-1], "truncated")


def test_a_flac_of_unknown_length_is_bounded_as_any() -> None:
    body = (FOLDER / "sox.flac").read_bytes()
    refused(body, "limit is 0.01 s", max_s=99 / RATE_HZ)
    assert len(read_recording(body, 100 / RATE_HZ)[0]) == 100


def test_silence_without_end_is_decoded_no_further_than_it_may_last() -> None:
    """A FLAC that says nothing of its hours: 5 kB for each."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros(3_600 * RATE_HZ, np.int16), RATE_HZ, format="FLAC")
    body = bytearray(file.getvalue())
    body[21] &= 0xF0
    body[22:26] = bytes(4)
    refused(bytes(body), "longer, the limit is 60.00 s")


@given(st.binary(max_size=60), st.sampled_from([b"RIFF", b"RF64", b"BW64", b"OggS", b"fLaC"]))
def test_no_bytes_raise_anything_else(rest: bytes, kind: bytes) -> None:
    for body in (
        kind + rest,
        kind + rest[:4] + b"WAVE" + rest,
        wav_of(np.arange(3, dtype=np.int16))[:12] + rest,
    ):
        with suppress(InvalidSequenceError):
            read_recording(body, MAX_S)
