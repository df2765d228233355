"""Connected digits: recordings of one speaker joined to sequences such as "four two seven".

Made from the Free Spoken Digit Dataset (`fsdd.py`). Everything is a function of a seed: the same
seed and recordings give the same samples, so that a test set of made sequences is a fixed one.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.tasks.audio import read_recording
from service.tasks.features import LogMel
from training.data.frames.fsdd import (
    LABELS,
    LICENCE,
    Recording,
    in_official_test,
    load_recordings,
    read_archive,
)
from training.data.frames.transcribed import Part, Transcribed

Samples = NDArray[np.float32]

DATASET = "the Free Spoken Digit Dataset v1.0.10"
SAMPLE_RATE_HZ = 8_000
MAX_DURATION_S = 20.0
MAX_PAUSE_S = 2.0
MAX_DIGITS = 7
VALIDATION_INDEXES = range(5, 10)
SPEAKER_INDEXES = range(5)  # for validation, of the speakers heard, where one is left out
TRAIN_SEED, VALIDATION_SEED, TEST_SEED = 1, 2, 3


@dataclasses.dataclass(frozen=True)
class Utterance:
    """One made sequence: what is heard, what is said, and when."""

    samples: Samples
    """float32 (samples,), of 16 bits as a recording's are; full scale 1.0."""
    digits: list[int]
    spans_s: list[tuple[float, float]]
    """Where each digit's recording begins and ends, s."""


Voices = dict[str, list[tuple[int, Samples]]]
"""By speaker: digits with their samples, in the recordings' order."""


def load_connected(
    leave_out: str | None = None,
    archive: str | None = None,
    train_sequences: int = 4_000,
    test_sequences: int = 300,
    features: LogMel | None = None,
    recordings: list[Recording] | None = None,
) -> Transcribed:
    """Made sequences of the official split, or with one speaker left for the test.

    Recordings are parted, not sequences: no recording is heard in two parts.

    Args:
        leave_out: Whom; None for the official split of the recordings.
        archive: A zip of your own single digits, `{digit}_{speaker}_{index}.wav`, 8 kHz.
        train_sequences: How many are made to learn from; a tenth of that to validate on.
        test_sequences: How many of the test part.
        features: Settings of the frames; `LogMel`'s defaults if None.
        recordings: Of what; the whole set, found or downloaded, if None.
    Raises:
        ValueError: No such speaker, a part without recordings, or others than the set's.
        OSError: The archive can't be read or downloaded.
    """
    recordings = recordings or (read_archive(Path(archive)) if archive else load_recordings())
    features = features or LogMel()
    train, validation, test = split_recordings(recordings, leave_out)
    return Transcribed(
        train=frames_of(make_utterances(train, train_sequences, TRAIN_SEED), features),
        validation=frames_of(
            make_utterances(validation, max(1, train_sequences // 10), VALIDATION_SEED), features
        ),
        test=frames_of(make_utterances(test, test_sequences, TEST_SEED), features),
        split=f"sequences of {leave_out}'s recordings for the test, who is not heard in training"
        if leave_out
        else "official: sequences of the recordings 0 to 4 of each digit and speaker for the test",
        audio=features,
        name=f"connected digits of {Path(archive).name if archive else DATASET}",
        licence="as given by the user" if archive else LICENCE,
        labels=LABELS,
        unit="digit",
        max_length=features.num_frames(int(MAX_DURATION_S * SAMPLE_RATE_HZ), SAMPLE_RATE_HZ),
    )


def split_recordings(
    recordings: list[Recording], leave_out: str | None = None
) -> tuple[list[Recording], list[Recording], list[Recording]]:
    """Recordings to learn from, to validate on and to test on; none is in two of them.

    Raises:
        ValueError: No such speaker.
    """
    if leave_out is None:
        test = [item for item in recordings if in_official_test(item)]
        rest = [item for item in recordings if not in_official_test(item)]
        held = VALIDATION_INDEXES
    else:
        if leave_out not in (speakers := sorted({item.speaker for item in recordings})):
            raise ValueError(f"no speaker {leave_out!r}; there are {', '.join(speakers)}")
        test = [item for item in recordings if item.speaker == leave_out]
        rest = [item for item in recordings if item.speaker != leave_out]
        held = SPEAKER_INDEXES
    return (
        [item for item in rest if item.index not in held],
        [item for item in rest if item.index in held],
        test,
    )


def make_utterances(recordings: list[Recording], count: int, seed: int) -> list[Utterance]:
    """`count` sequences of these recordings, each of a speaker's own.

    Raises:
        ValueError: There are no recordings.
    """
    if not recordings:
        raise ValueError("no recordings to make sequences of")
    voices: Voices = defaultdict(list)
    for item in recordings:
        samples, rate_hz = read_recording(item.body, MAX_DURATION_S)
        if rate_hz != SAMPLE_RATE_HZ:
            raise ValueError(f"{item}: {rate_hz} Hz, expected {SAMPLE_RATE_HZ} Hz")
        voices[item.speaker].append((item.digit, samples))
    return [make_utterance(voices, np.random.default_rng((seed, place))) for place in range(count)]


def frames_of(utterances: list[Utterance], features: LogMel) -> Part:
    """The sequences as the service hears them."""
    return Part(
        [features.frames(item.samples, SAMPLE_RATE_HZ) for item in utterances],
        [item.digits for item in utterances],
        [item.spans_s for item in utterances],
    )


def make_utterance(voices: Voices, random: np.random.Generator) -> Utterance:
    """1 to 7 digits of one speaker, now and then none: pauses, levels, noise and clipping vary."""
    voice = voices[random.choice(sorted(voices))]
    num_digits = 0 if random.random() < 0.06 else int(random.integers(1, MAX_DIGITS + 1))
    parts = [_silence(random.uniform(0.0, 0.6) if num_digits else random.uniform(0.3, 4.0))]
    digits: list[int] = []
    spans_s: list[tuple[float, float]] = []
    for place in random.integers(len(voice), size=num_digits):
        digit, samples = voice[place]
        start = sum(map(len, parts))
        if start + len(samples) > (MAX_DURATION_S - MAX_PAUSE_S) * SAMPLE_RATE_HZ:
            break
        digits.append(digit)
        parts.append(samples * _gain(random.normal(0.0, 3.0)) / _rms(samples))
        spans_s.append((start / SAMPLE_RATE_HZ, (start + len(samples)) / SAMPLE_RATE_HZ))
        parts.append(_silence(_pause_s(random)))
    joined = np.concatenate(parts)
    level = _gain(random.uniform(-40.0, -14.0))
    if random.random() < 0.7 or (not num_digits and random.random() < 0.7):
        joined = joined + _gain(-random.uniform(10.0, 40.0)) * coloured_noise(len(joined), random)
    joined = joined * level
    if random.random() < 0.15:
        limit = np.abs(joined).max() * random.uniform(0.2, 0.8)
        joined = joined.clip(-limit, limit)
    return Utterance(_sixteen_bits(joined), digits, spans_s)


def coloured_noise(num_samples: int, random: np.random.Generator) -> Samples:
    """Noise of rms 1, (samples,), its power falling as 1 / f^colour: white, pink, to brown."""
    spectrum = np.fft.rfft(random.standard_normal(num_samples))
    frequencies = np.arange(1, len(spectrum) + 1) / num_samples
    # flat below some 40 Hz: what is slower than sound would take up all the power
    spectrum *= np.maximum(frequencies, 0.005) ** (-random.uniform(0.0, 2.0) / 2)
    noise = np.fft.irfft(spectrum, num_samples).astype(np.float32)
    return noise / _rms(noise)


def _pause_s(random: np.random.Generator) -> float:
    """A time after a digit: none, short, and now and then long."""
    kind = random.random()
    if kind < 0.3:
        return 0.0
    return random.uniform(0.02, 0.5) if kind < 0.95 else random.uniform(0.5, MAX_PAUSE_S)


def _silence(duration_s: float) -> Samples:
    return np.zeros(round(duration_s * SAMPLE_RATE_HZ), dtype=np.float32)


def _gain(decibels: float) -> np.float32:
    return np.float32(10 ** (decibels / 20))


def _rms(samples: Samples) -> np.float32:
    return np.float32(max(np.sqrt(np.mean(samples**2)), 1e-6))


def _sixteen_bits(samples: Samples) -> Samples:
    """As a WAV of 16 bits gives them back."""
    whole: Samples = (samples * np.float32(32_768)).round().clip(-32_768, 32_767)
    return np.divide(whole, 32_768, dtype=np.float32)
