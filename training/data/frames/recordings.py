"""A user's own recordings: a folder a class, or a table of files with a label each.

    own/animals/cat/1.wav        own/animals.csv:   file,label,place
    own/animals/dog/1.flac                          a/1.wav,cat,garden

They become frames by the code that serves: any format, rate and number of channels that a server
takes. A table's files are looked for beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidSequenceError
from service.tasks.audio import read_recording
from service.tasks.features import LogMel
from training.data.batches import split_validation
from training.data.frames.dataset import Dataset, SequenceSet
from training.data.limits import longest_accepted
from training.data.reading import Column, DataError, Reading, read_table

TABLES = (".csv", ".tsv")
TAKEN = (".wav", ".wave", ".flac", ".ogg", ".oga", ".opus")
REFUSED = (".mp3", ".m4a", ".aac", ".wma", ".aif", ".aiff", ".webm")
FILE_NAMES = ("file", "path", "filename", "file_name", "audio", "wav", "recording")
TEXT_NAMES = ("label", "class", "category", "target", "transcript", "transcription", "text")
GROUP_NAMES = ("speaker", "group", "client_id", "speaker_id")
KNOWN = (*FILE_NAMES, *TEXT_NAMES, *GROUP_NAMES, "sentence", "duration", "id")
MAX_DURATION_S = 600.0
"""A recording that is learnt from lasts that long at most."""
TEST_SHARE = 0.2
DRAWN = "a share of the recordings, of each label alike, drawn for the test"


class Item(NamedTuple):
    """One recording."""

    path: Path
    said: str
    """Its label, or its transcript."""
    group: str
    """What must not be in two parts, such as who speaks; "" if nothing is said of it."""
    place: str
    """Where it is named, for errors."""


def holds_recordings(path: Path) -> bool:
    """Whether a user's data are recordings: a folder, or a table of them."""
    return path.is_dir() or path.suffix.lower() in TABLES


def load_recordings(
    train: Path,
    test: Path | None,
    name: str,
    label: Column = 2,
    features: dict[str, Any] | None = None,
    test_share: float = TEST_SHARE,
    **columns: Any,
) -> Dataset:
    """Recordings by class, as log-mel frames.

    Args:
        train: A folder or a table; test likewise.
        test: Without one, a share of the training recordings is drawn.
        name: Of the set.
        label: The table's column of labels.
        features: Settings of the frames, those of `LogMel`.
        test_share: Of the recordings, if they are drawn.
        columns: See `read_items`.
    Raises:
        DataError: A file is no recording, or labels are wrong; names the file.
        OSError: A file can't be read.
    """
    frames = LogMel(**(features or {}))
    parts = [read_items(path, label, **columns) for path in (train, test) if path]
    check_groups(parts)
    labels = sorted({item.said for item in parts[0]})
    if len(labels) < 2:
        raise DataError(f"{train}: all recordings have one label; a classifier needs two")
    for item in parts[-1]:
        if item.said not in labels:
            raise DataError(f"{item.path}: no recording of {train} has its label, {item.said!r}")
    sets = [_set_of(part, labels, frames) for part in parts]
    if test is None:
        sets = [*split_validation(sets[0], test_share, seed=0)]
    learnt, scored = sets
    return Dataset(
        name=name,
        train=learnt,
        test=scored,
        labels=labels,
        feature_names=frames.feature_names(),
        licence="as given by the user",
        split=f"as given: {train.name} and {test.name}" if test else DRAWN,
        max_length=longest_accepted(map(len, learnt.sequences), map(len, scored.sequences)),
        audio=frames,
    )


def read_items(
    source: Path, said: Column = 2, file: Column = 1, group: Column | None = None, **reading: Any
) -> list[Item]:
    """The recordings of a folder, whose folders are the labels, or of a table.

    Args:
        source: Which.
        said: The table's column of labels or transcripts.
        file: That of the files, from the table's folder on.
        group: That of what must not be in two parts, such as the speaker.
        reading: See `training.data.reading.Reading`.
    Raises:
        DataError: There are none, a file is of another kind or isn't there, or a cell is empty.
        OSError: It can't be read.
    """
    if source.is_dir():
        if group is not None or reading:
            raise DataError(f"{source}: a folder has no columns; give a table for groups")
        return _in_folder(source)
    columns = [file, said] if group is None else [file, said, group]
    table = read_table(source, Reading(**reading), KNOWN, columns)
    if not table.rows:
        raise DataError(f"{source} names no recordings")
    places = [table.index(column) for column in columns]
    items = []
    for row in table.rows:
        cells = [table.cell(row, place) for place in places]
        if not all(cells):
            raise DataError(
                f"{table.place(row)}: a column of {', '.join(map(str, columns))} is empty"
            )
        path = source.parent / cells[0]
        if not path.is_file():
            raise DataError(f"{table.place(row)}: there is no file {path}")
        kept_with = cells[2] if group is not None else ""
        items.append(Item(path, cells[1], kept_with, table.place(row)))
    return items


def check_groups(parts: Sequence[list[Item]]) -> None:
    """Refuse parts that a user has given with a group in two of them."""
    heard: dict[str, int] = {}
    for place, part in enumerate(parts):
        for item in part:
            if item.group and heard.setdefault(item.group, place) != place:
                raise DataError(f"{item.path}: its group, {item.group!r}, is in another part too")


def frames_of(items: list[Item], features: LogMel) -> list[NDArray[np.float32]]:
    """The frames (time, mels) of recordings, as the service computes them.

    Raises:
        DataError: One is no recording, or too long.
    """
    frames = []
    for item in items:
        try:
            samples = read_recording(item.path.read_bytes(), MAX_DURATION_S)
            frames.append(features.frames(*samples))
        except InvalidSequenceError as error:
            raise DataError(f"{item.path}: {error.message}") from error
    return frames


def groups_of(items: list[Item]) -> NDArray[np.int64] | None:
    """Each item's group by number (count,); None if there are none."""
    if not any(item.group for item in items):
        return None
    numbers = {group: number for number, group in enumerate(sorted({it.group for it in items}))}
    return np.array([numbers[item.group] for item in items], dtype=np.int64)


def _in_folder(folder: Path) -> list[Item]:
    items = []
    for label in sorted(path for path in folder.iterdir() if path.is_dir()):
        for path in sorted(label.rglob("*")):
            if path.suffix.lower() in REFUSED:
                raise DataError(f"{path}: a recording is WAV, FLAC or Ogg, as the service takes it")
            if path.suffix.lower() in TAKEN and not path.name.startswith("."):
                items.append(Item(path, label.name, "", str(path)))
    if not items:
        raise DataError(f"{folder} holds no folders of recordings, one a label")
    return items


def _set_of(items: list[Item], labels: list[str], features: LogMel) -> SequenceSet:
    targets = np.array([labels.index(item.said) for item in items], dtype=np.int64)
    return SequenceSet(frames_of(items, features), targets, groups_of(items))
