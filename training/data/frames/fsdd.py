"""The Free Spoken Digit Dataset: 3,000 recordings of six speakers saying 0 to 9, 8 kHz mono.

Home: https://github.com/Jakobovski/free-spoken-digit-dataset, CC BY-SA 4.0. A file is named
`{digit}_{speaker}_{index}.wav`; the official test split is index 0 to 4 of each digit and speaker.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import zipfile
from pathlib import Path
from typing import Literal

import numpy as np

from service.tasks.audio import read_recording
from service.tasks.features import LogMel
from training.data.fetching import fetched
from training.data.frames.dataset import Dataset, SequenceSet

ARCHIVE_URL = (
    "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.zip"
)
ARCHIVE_FILE = "fsdd.zip"
RECORDINGS_SHA256 = "903cdbbeaa5e6120d74ab4cba7739c719e24dec08898e8256686c45170d2c7a5"
LICENCE = "CC BY-SA 4.0, Free Spoken Digit Dataset (Zohar Jackson et al.)"
LABELS = [str(digit) for digit in range(10)]
MAX_DURATION_S = 5.0
OFFICIAL_TEST_INDEXES = range(5)

Split = Literal["official", "speaker"]


@dataclasses.dataclass(frozen=True, order=True)
class Recording:
    """One file: who said what, and its bytes."""

    digit: int
    speaker: str
    index: int
    body: bytes = dataclasses.field(repr=False)


def load_fsdd(
    split: Split = "official",
    speaker: str | None = None,
    features: LogMel | None = None,
    archive: Path | None = None,
    sha256: str = RECORDINGS_SHA256,
) -> Dataset:
    """The set as log-mel frames.

    Args:
        split: `official`, or `speaker`: every recording of one speaker is the test part.
        speaker: Whom to leave out; with `speaker` only.
        features: Settings of the frames; `LogMel`'s defaults if None.
        archive: A zip that holds the recordings in any folder; found or downloaded if None.
        sha256: What `recordings_digest` must give.
    Raises:
        ValueError: The recordings are not those of the digest, or no such speaker.
        OSError: The archive can't be read or downloaded.
    """
    recordings = load_recordings(archive, sha256)
    speakers = sorted({recording.speaker for recording in recordings})
    if split == "speaker" and speaker not in speakers:
        raise ValueError(f"no speaker {speaker!r}; there are {', '.join(speakers)}")
    features = features or LogMel()
    is_test = [
        recording.speaker == speaker if split == "speaker" else in_official_test(recording)
        for recording in recordings
    ]
    parts = [
        _frames(
            [item for item, test in zip(recordings, is_test, strict=True) if test == part], features
        )
        for part in (False, True)
    ]
    words = (
        f"all recordings of the speaker {speaker} left out for the test"
        if split == "speaker"
        else "official: index 0 to 4 of each digit and speaker for the test"
    )
    return Dataset(
        name="Free Spoken Digit Dataset v1.0.10",
        train=parts[0],
        test=parts[1],
        labels=LABELS,
        feature_names=features.feature_names(),
        licence=LICENCE,
        split=words,
        max_length=features.num_frames(int(MAX_DURATION_S * 8_000), 8_000),
        audio=features,
    )


def load_recordings(
    archive: Path | None = None, sha256: str = RECORDINGS_SHA256
) -> list[Recording]:
    """The whole set's recordings; args and errors as `load_fsdd`'s."""
    recordings = read_archive(archive or find_archive())
    digest = recordings_digest(recordings)
    if digest != sha256:
        raise ValueError(f"the recordings have sha256 {digest}, expected {sha256}")
    return recordings


def in_official_test(recording: Recording) -> bool:
    """Whether the official split tests on it."""
    return recording.index in OFFICIAL_TEST_INDEXES


def find_archive() -> Path:
    """`fsdd.zip`, downloaded once."""
    return fetched(ARCHIVE_URL, ARCHIVE_FILE)


def read_archive(archive: Path) -> list[Recording]:
    """The recordings in a zip, whatever folder they lie in, sorted by digit, speaker and index.

    Raises:
        ValueError: It is no zip, or holds no recordings.
    """
    pattern = re.compile(r"(?:.*/)?(\d)_([a-z]+)_(\d+)\.wav")
    try:
        with zipfile.ZipFile(archive) as opened:
            recordings = [
                Recording(int(match[1]), match[2], int(match[3]), opened.read(name))
                for name in opened.namelist()
                if (match := pattern.fullmatch(name))
            ]
    except zipfile.BadZipFile as error:
        raise ValueError(f"{archive} is not a zip: {error}") from error
    if not recordings:
        raise ValueError(f"{archive} holds no recordings named digit_speaker_index.wav")
    return sorted(recordings)


def recordings_digest(recordings: list[Recording]) -> str:
    """A sha256 over names and contents in sorted order: the same from any archive of them."""
    digest = hashlib.sha256()
    for recording in sorted(recordings):
        name = f"{recording.digit}_{recording.speaker}_{recording.index}.wav"
        digest.update(f"{name}\0{len(recording.body)}\0".encode())
        digest.update(recording.body)
    return digest.hexdigest()


def _frames(recordings: list[Recording], features: LogMel) -> SequenceSet:
    sequences = [
        features.frames(*read_recording(recording.body, MAX_DURATION_S)) for recording in recordings
    ]
    targets = np.array([recording.digit for recording in recordings], dtype=np.int64)
    return SequenceSet(sequences, targets)
