"""A user's own training and test files, by their format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.data.frames.dataset import Dataset
from training.data.frames.npz import load_npz
from training.data.frames.recordings import holds_recordings, load_recordings
from training.data.frames.ts import load_ts

LOADERS = {".ts": load_ts, ".npz": load_npz}


def load_own(train: Path | str, test: Path | str, name: str, **options: Any) -> Dataset:
    """The set of two files of one format, or of recordings, which may be given in one.

    Args:
        train: To learn from.
        test: To score; "" for recordings that are parted here.
        name: Of the set.
        options: Of recordings, see `training.data.frames.recordings.load_recordings`.
    Raises:
        ValueError: Of no format that is known, or not as their format says.
        OSError: A file can't be read.
    """
    if train and holds_recordings(Path(train)):
        return load_recordings(Path(train), Path(test) if test else None, name, **options)
    train, test = Path(train), Path(test)
    loader = LOADERS.get(train.suffix)
    if loader is None or test.suffix != train.suffix:
        raise ValueError(f"{train} and {test} are not both {' or '.join(LOADERS)}")
    return loader(train, test, name, **options)
