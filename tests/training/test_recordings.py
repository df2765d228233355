"""A user's own recordings: folders and tables, of any format and rate, as a server hears them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from service.tasks.audio import read_recording
from service.tasks.features import LogMel
from tests.servers import serving
from training.data.batches import split_validation
from training.data.frames.dataset import Dataset, SequenceSet
from training.data.frames.recordings import load_recordings
from training.data.reading import DataError
from training.export.bundle import export_run
from training.recipe_file import RecipeFile
from training.run import train_run

KINDS = [("wav", 8_000, 1), ("wav", 44_100, 2), ("flac", 16_000, 1), ("ogg", 22_050, 1)]
TONES_HZ = {"low": 300.0, "high": 2_000.0}


def write_tone(path: Path, hz: float, rate_hz: int, channels: int, seed: int) -> Path:
    """A tone in some noise, of 0.3 to 0.5 s."""
    random = np.random.default_rng(seed)
    times = np.arange(int(rate_hz * random.uniform(0.3, 0.5))) / rate_hz
    samples = 0.3 * np.sin(2 * np.pi * hz * random.uniform(0.9, 1.1) * times)
    samples += random.normal(0, 0.01, len(times))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.stack([samples] * channels, axis=1), rate_hz)
    return path


def write_tones(folder: Path, count: int = 12) -> Path:
    """A folder a class."""
    for label, hz in TONES_HZ.items():
        for seed in range(count):
            kind, rate_hz, channels = KINDS[seed % len(KINDS)]
            write_tone(folder / label / f"{seed}.{kind}", hz, rate_hz, channels, seed)
    return folder


def test_folders_of_recordings_become_a_model_that_hears_them(tmp_path: Path) -> None:
    folder = write_tones(tmp_path / "tones")
    (folder / "README.md").write_text("not a class")
    (folder / "low" / "notes.txt").write_text("not a recording")
    recipe = RecipeFile(
        name="tones",
        task="classification",
        family="gru",
        data={"train": str(folder), "test_share": 0.25},
        architecture={"hidden_size": 8, "num_layers": 1},
        fit={"steps": 40, "batch_size": 8, "evaluate_every": 20, "learning_rate": 1e-2},
    )
    data = recipe.load()
    assert isinstance(data, Dataset)
    assert np.bincount(data.train.targets).tolist() == [9, 9]
    assert np.bincount(data.test.targets).tolist() == [3, 3]
    metrics = train_run(recipe.run(data, 0), data, tmp_path / "run")
    assert metrics["test"]["accuracy"] == 1
    export_run(tmp_path / "run", tmp_path / "repository")
    with serving(tmp_path / "repository") as server:
        for label, hz in TONES_HZ.items():
            for kind, rate_hz, channels in KINDS:
                path = write_tone(tmp_path / f"asked.{kind}", hz, rate_hz, channels, 99)
                answer = server.client.post(
                    "/v1/models/tones/predict",
                    content=path.read_bytes(),
                    headers={"Content-Type": f"audio/{kind}"},
                )
                assert answer.status_code == 200, answer.text
                assert answer.json()["predictions"][0]["label"] == label


def write_table(folder: Path, count: int = 24) -> Path:
    """Recordings with who speaks: four speakers of six each."""
    lines = ["file,label,speaker"]
    for seed in range(count):
        label = list(TONES_HZ)[seed % 2]
        write_tone(folder / "all" / f"{seed}.wav", TONES_HZ[label], 8_000, 1, seed)
        lines.append(f"all/{seed}.wav,{label},speaker-{seed // 6}")
    table = folder / "tones.csv"
    table.write_text("\n".join(lines) + "\n")
    return table


def test_a_tables_groups_stay_in_one_part(tmp_path: Path) -> None:
    table = write_table(tmp_path)
    data = load_recordings(table, None, "tones", label="label", group="speaker")
    assert (len(data.train), len(data.test)) == (18, 6)
    assert data.train.groups is not None
    assert data.test.groups is not None
    assert not set(data.train.groups) & set(data.test.groups)
    learnt, held = split_validation(data.train, 0.1, seed=3)
    assert learnt.groups is not None
    assert held.groups is not None
    assert (len(learnt), len(held)) == (12, 6)
    assert not set(learnt.groups) & set(held.groups)
    with pytest.raises(DataError, match="its group, 'speaker-0', is in another part too"):
        load_recordings(table, table, "tones", group=3)
    numbered = load_recordings(table, table, "tones")
    assert (numbered.labels, len(numbered.test)) == (["high", "low"], 24)


def test_frames_are_those_that_the_service_computes(tmp_path: Path) -> None:
    table = write_table(tmp_path, count=4)
    data = load_recordings(table, table, "tones", features={"num_mels": 24, "hop_ms": 10.0})
    expected = LogMel(num_mels=24, hop_ms=10.0)
    body = (tmp_path / "all" / "2.wav").read_bytes()
    np.testing.assert_array_equal(
        data.test.sequences[2], expected.frames(*read_recording(body, 1.0))
    )
    assert data.audio == expected
    assert data.max_length == 4 * max(map(len, data.train.sequences))


def refused(folder: Path, table: str) -> str:
    path = folder / "own.csv"
    path.write_text(table)
    with pytest.raises(DataError) as error:
        load_recordings(path, path, "own")
    return str(error.value)


def test_what_is_wrong_names_its_file(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.wav", 300, 8_000, 1, 0)
    (tmp_path / "b.wav").write_bytes(b"RIFF no")
    assert "line 2: there is no file" in refused(tmp_path, "a.wav,x\nc.wav,y\n")
    assert "line 2: a column of 1, 2 is empty" in refused(tmp_path, "a.wav,x\na.wav,\n")
    assert "b.wav: not a recording" in refused(tmp_path, "a.wav,x\nb.wav,y\n")
    assert "all recordings have one label" in refused(tmp_path, "a.wav,x\n")
    (tmp_path / "folder" / "x").mkdir(parents=True)
    with pytest.raises(DataError, match="holds no folders of recordings"):
        load_recordings(tmp_path / "folder", None, "own")
    (tmp_path / "folder" / "x" / "a.mp3").touch()
    with pytest.raises(DataError, match=r"a\.mp3: a recording is WAV, FLAC or Ogg"):
        load_recordings(tmp_path / "folder", None, "own")
    other = tmp_path / "other.csv"
    other.write_text("a.wav,z\n")
    (tmp_path / "own.csv").write_text("a.wav,x\na.wav,y\n")
    with pytest.raises(DataError, match=r"no recording of .*own\.csv has its label, 'z'"):
        load_recordings(tmp_path / "own.csv", other, "own")


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6)), min_size=2, max_size=40),
    st.floats(0.05, 0.5),
    st.integers(0, 99),
)
def test_no_group_is_parted_and_no_class_is_lost(
    rows: list[tuple[int, int]], share: float, seed: int
) -> None:
    targets, groups = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    whole = SequenceSet([np.full((1, 1), place, np.float32) for place in range(len(rows))], targets)
    try:
        learnt, held = split_validation(SequenceSet(whole.sequences, targets, groups), share, seed)
    except ValueError as error:
        assert "can't be parted" in str(error)  # noqa: PT017 - either may happen
        return
    assert learnt.groups is not None
    assert held.groups is not None
    assert len(held) > 0
    assert not set(learnt.groups) & set(held.groups)
    assert set(learnt.targets) == set(targets)
    places = [int(sequence[0, 0]) for part in (learnt, held) for sequence in part.sequences]
    assert sorted(places) == list(range(len(rows)))
