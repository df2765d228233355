"""Connected digits: made of the right recordings only, the same from the same seed."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.tasks.audio import read_recording
from service.tasks.features import LogMel
from tests.training.recordings import recordings_of_all_parts as recordings
from training.data.frames.connected import (
    MAX_DIGITS,
    MAX_DURATION_S,
    SAMPLE_RATE_HZ,
    coloured_noise,
    frames_of,
    load_connected,
    make_utterance,
    make_utterances,
    split_recordings,
)


@pytest.mark.parametrize("leave_out", [None, "theo"])
def test_no_recording_is_in_two_parts(leave_out: str | None) -> None:
    parts = split_recordings(recordings(), leave_out)
    assert all(parts)
    assert sorted(item for part in parts for item in part) == sorted(recordings())
    train, validation, test = parts
    if leave_out:
        assert {item.speaker for item in test} == {leave_out}
        assert leave_out not in {item.speaker for item in train + validation}
    else:
        assert {item.index for item in test} <= set(range(5))
        assert min(item.index for item in train + validation) >= 5


def test_an_unknown_speaker_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no speaker 'nobody'; there are george, jackson"):
        split_recordings(recordings(), "nobody")


def test_no_recordings_and_those_of_another_rate_are_refused() -> None:
    with pytest.raises(ValueError, match="no recordings"):
        make_utterances([], 1, 0)
    one = recordings()[0]
    rate = (16_000).to_bytes(4, "little")
    other = dataclasses.replace(one, body=one.body[:24] + rate + one.body[28:])
    with pytest.raises(ValueError, match="16000 Hz, expected 8000 Hz"):
        make_utterances([other], 1, 0)


def test_the_same_seed_gives_the_same_sequences_and_another_gives_others() -> None:
    first, again = (make_utterances(recordings(), 6, 1) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert one.digits == other.digits
        assert np.array_equal(one.samples, other.samples)
    others = make_utterances(recordings(), 6, 2)
    assert [item.digits for item in others] != [item.digits for item in first]
    # a sequence does not depend on how many are made
    assert np.array_equal(make_utterances(recordings(), 3, 1)[2].samples, first[2].samples)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000))
def test_a_sequence_is_one_speakers_digits_in_order_without_overlap(seed: int) -> None:
    spoken = {
        (item.speaker, item.digit): read_recording(item.body, MAX_DURATION_S)[0]
        for item in recordings()
    }
    voices = {
        speaker: [(digit, samples) for (who, digit), samples in spoken.items() if who == speaker]
        for speaker in {who for who, _ in spoken}
    }
    made = make_utterance(voices, np.random.default_rng(seed))
    assert 0 <= len(made.digits) <= MAX_DIGITS
    assert 0 < len(made.samples) <= MAX_DURATION_S * SAMPLE_RATE_HZ
    assert np.abs(made.samples).max() <= 1.0
    assert np.array_equal(made.samples * 32_768, (made.samples * 32_768).round())
    edges = [edge for span in made.spans_s for edge in span]
    assert edges == sorted(edges)
    durations = [round((end - start) * SAMPLE_RATE_HZ) for start, end in made.spans_s]
    assert any(
        [*zip(made.digits, durations, strict=True)]
        == [(digit, len(dict(voice)[digit])) for digit in made.digits if digit in dict(voice)]
        for voice in voices.values()
    )


def test_noise_has_the_level_that_was_asked_for_and_a_colour() -> None:
    shares = []
    for seed in range(20):
        noise = coloured_noise(8_000, np.random.default_rng(seed))
        assert np.sqrt(np.mean(noise**2)) == pytest.approx(1.0, rel=1e-4)
        power = np.abs(np.fft.rfft(noise)) ** 2
        shares.append(power[:1_000].sum() / power.sum())
    assert min(shares) < 0.4  # white has a quarter of its power in the lowest quarter
    assert max(shares) > 0.8


def test_the_data_set_is_made_of_the_frames_that_the_service_computes() -> None:
    features = LogMel(num_mels=20)
    dataset = load_connected(None, None, 10, 4, features, recordings())
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [10, 1, 4]
    _, _, test = split_recordings(recordings())
    made = make_utterances(test, 4, 3)
    for frames, digits, item in zip(dataset.test.frames, dataset.test.said, made, strict=True):
        assert np.array_equal(frames, features.frames(item.samples, SAMPLE_RATE_HZ))
        assert digits == item.digits
    assert frames_of(made, features).said == dataset.test.said


def test_a_users_own_recordings_come_in_a_zip(tmp_path: Path) -> None:
    archive = tmp_path / "own.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for item in recordings():
            opened.writestr(f"wav/{item.digit}_{item.speaker}_{item.index}.wav", item.body)
    own = load_connected(archive=str(archive), train_sequences=3, test_sequences=2)
    made = load_connected(None, None, 3, 2, recordings=recordings())
    assert own.name == "connected digits of own.zip"
    assert own.train.said == made.train.said
