"""The loader on real recordings: the committed examples, and archives made of them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from service.tasks.audio import read_recording
from service.tasks.features import LogMel
from training.data.frames.fsdd import (
    LABELS,
    find_archive,
    in_official_test,
    load_fsdd,
    read_archive,
    recordings_digest,
)

EXAMPLES = Path(__file__).parents[2] / "examples"


def make_archive(path: Path, *, folder: str = "recordings/", reverse: bool = False) -> Path:
    """The examples (all of the test split), and each a second time under an index of training's."""
    files = sorted(EXAMPLES.glob("*.wav"), reverse=reverse)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("README.md", "not a recording")
        for file in files:
            digit, speaker, index = file.stem.split("_")
            archive.write(file, f"{folder}{file.name}")
            archive.write(file, f"{folder}{digit}_{speaker}_{int(index) + 5}.wav")
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return make_archive(tmp_path / "fsdd.zip")


def test_the_examples_are_of_the_official_test_split(archive: Path) -> None:
    recordings = read_archive(archive)
    assert {f"{item.digit}" for item in recordings} == set(LABELS)
    assert len({item.speaker for item in recordings}) == 6
    for recording in recordings:
        name = f"{recording.digit}_{recording.speaker}_{recording.index}.wav"
        assert in_official_test(recording) == (EXAMPLES / name).exists()


def test_the_official_split_is_by_index(archive: Path) -> None:
    dataset = load_fsdd(archive=archive, sha256=recordings_digest(read_archive(archive)))
    assert len(dataset.train) == len(dataset.test) == 20
    for part in (dataset.train, dataset.test):
        assert np.array_equal(np.unique(part.targets), np.arange(10))
        assert all(frames.shape[1] == 40 for frames in part.sequences)
    assert dataset.max_length >= 2.3 * 1_000 / LogMel().hop_ms  # the longest of all is 2.3 s


def test_frames_are_those_that_the_service_computes(archive: Path) -> None:
    features = LogMel(num_mels=24, hop_ms=10.0)
    digest = recordings_digest(read_archive(archive))
    dataset = load_fsdd(features=features, archive=archive, sha256=digest)
    names = sorted(
        (path.stem.split("_") for path in EXAMPLES.glob("*.wav")),
        key=lambda parts: (int(parts[0]), parts[1], int(parts[2])),
    )
    place = names.index(["7", "jackson", "3"])
    body = (EXAMPLES / "7_jackson_3.wav").read_bytes()
    expected = features.frames(*read_recording(body, 10.0))
    assert np.array_equal(dataset.test.sequences[place], expected)
    assert dataset.test.targets[place] == 7
    assert dataset.audio == features


def test_the_speaker_split_leaves_one_speaker_out(archive: Path) -> None:
    recordings = read_archive(archive)
    digest = recordings_digest(recordings)
    dataset = load_fsdd("speaker", "jackson", archive=archive, sha256=digest)
    spoken = sorted(item.digit for item in recordings if item.speaker == "jackson")
    assert sorted(dataset.test.targets.tolist()) == spoken
    assert len(dataset.train) == len(recordings) - len(spoken)
    assert "jackson" in dataset.split


def test_an_unknown_speaker_is_refused_with_those_there_are(archive: Path) -> None:
    with pytest.raises(ValueError, match="no speaker 'nobody'; there are george, jackson"):
        load_fsdd(
            "speaker", "nobody", archive=archive, sha256=recordings_digest(read_archive(archive))
        )


def test_the_digest_is_of_the_recordings_not_of_their_archive(tmp_path: Path) -> None:
    one = make_archive(tmp_path / "one.zip")
    other = make_archive(tmp_path / "other.zip", folder="data-1.0/recordings/", reverse=True)
    assert one.read_bytes() != other.read_bytes()
    assert recordings_digest(read_archive(one)) == recordings_digest(read_archive(other))


def test_other_recordings_than_the_pinned_ones_are_refused(archive: Path) -> None:
    with pytest.raises(ValueError, match="the recordings have sha256"):
        load_fsdd(archive=archive)


def test_what_is_no_archive_of_recordings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("not a zip")
    with pytest.raises(ValueError, match=r"text\.zip is not a zip"):
        read_archive(tmp_path / "text.zip")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("7.wav", b"")
    with pytest.raises(ValueError, match="holds no recordings"):
        read_archive(tmp_path / "empty.zip")


def test_the_archive_is_looked_for_before_it_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, cache = tmp_path / "given", tmp_path / "cache"
    given.mkdir()
    (cache / "seqserve").mkdir(parents=True)
    make_archive(cache / "seqserve" / "fsdd.zip")
    monkeypatch.setenv("SEQSERVE_DATA_DIR", str(given))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    assert find_archive() == cache / "seqserve" / "fsdd.zip"
    make_archive(given / "fsdd.zip")
    assert find_archive() == given / "fsdd.zip"
