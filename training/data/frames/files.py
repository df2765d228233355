"""A user's own training and test files, by their format."""

from __future__ import annotations

from pathlib import Path

from training.data.frames.dataset import Dataset
from training.data.frames.npz import load_npz
from training.data.frames.ts import load_ts

LOADERS = {".ts": load_ts, ".npz": load_npz}


def load_own(train: Path | str, test: Path | str, name: str) -> Dataset:
    """The set of two files of one format.

    Raises:
        ValueError: Of no format that is known, or not as their format says.
        OSError: A file can't be read.
    """
    train, test = Path(train), Path(test)
    loader = LOADERS.get(train.suffix)
    if loader is None or test.suffix != train.suffix:
        raise ValueError(f"{train} and {test} are not both {' or '.join(LOADERS)}")
    return loader(train, test, name)
