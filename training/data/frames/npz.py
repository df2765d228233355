"""Sequences in NumPy's `.npz`: every step of every sequence in one array.

    numpy.savez("train.npz", X=X, lengths=lengths, y=y, feature_names=["x", "y"])

X (sum of lengths, features), real numbers, NaN where a value is missing (filled as
`own.without_gaps` says); lengths (count,), integers; y (count,), strings or integers; feature_names
(features,), strings, may be left out.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.frames.dataset import Dataset, SequenceSet
from training.data.frames.own import Floats, own_dataset, without_gaps
from training.data.reading import DataError

REQUIRED = ("X", "lengths", "y")
OPTIONAL = ("feature_names",)

Arrays = dict[str, NDArray[Any]]


def load_npz(train: Path, test: Path, name: str) -> Dataset:
    """Read the two files of a problem.

    Raises:
        DataError: A file is not in the format, or the two do not belong together; names the file
            and the key.
        OSError: A file can't be read.
    """
    train_arrays, test_arrays = _read(train), _read(test)
    num_features = train_arrays["X"].shape[1]
    if test_arrays["X"].shape[1] != num_features:
        raise DataError(
            f"{test}: X has {test_arrays['X'].shape[1]} features, {train} has {num_features}"
        )
    if train_arrays["y"].dtype.kind != test_arrays["y"].dtype.kind:
        raise DataError(f"{test}: y holds other things than in {train}: strings or integers")
    classes = np.unique(train_arrays["y"])
    unseen = np.setdiff1d(test_arrays["y"], classes)
    if unseen.size:
        raise DataError(f"{test}: y holds {unseen[0]!s}, which {train} does not")
    return own_dataset(
        name,
        _sequences(train, train_arrays, classes),
        _sequences(test, test_arrays, classes),
        [str(label) for label in classes],
        _feature_names(train_arrays, test_arrays, test),
        (train, test),
    )


def _read(path: Path) -> Arrays:
    """The arrays of one file, each checked by itself and against the others."""
    try:
        with path.open("rb") as file:  # of its own, which is closed when the file is bad
            loaded = np.load(file, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                raise ValueError("it holds one array without a name")
            arrays = {str(key): loaded[key] for key in loaded}
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: not a .npz file of plain arrays: {error}") from error
    for key in REQUIRED:
        if key not in arrays:
            raise DataError(f"{path}: {key} is missing; it holds {sorted(arrays)}")
    if unknown := arrays.keys() - {*REQUIRED, *OPTIONAL}:
        raise DataError(
            f"{path}: {min(unknown)} is no known key ({', '.join(REQUIRED + OPTIONAL)})"
        )
    for key, check in CHECKS.items():
        if key in arrays and (problem := check(arrays)):
            raise DataError(f"{path}: {key} {problem}")
    if arrays["y"].dtype.kind in "iu":
        arrays["y"] = arrays["y"].astype(np.int64)
    return arrays


def _check_values(arrays: Arrays) -> str | None:
    values = arrays["X"]
    if values.ndim != 2 or not values.shape[1]:
        return f"has shape {values.shape}, expected (sum of lengths, features)"
    if values.dtype.kind not in "fiu":
        return f"is {values.dtype}, expected real numbers"
    return None


def _check_lengths(arrays: Arrays) -> str | None:
    lengths = arrays["lengths"]
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu":
        return f"is {lengths.dtype} {lengths.shape}, expected integers (count,)"
    if not lengths.size or lengths.min() < 1:
        return "must be one number from 1 for each sequence"
    if lengths.sum() != len(arrays["X"]):
        return f"sum to {lengths.sum()}, X has {len(arrays['X'])} steps"
    return None


def _check_targets(arrays: Arrays) -> str | None:
    targets = arrays["y"]
    if targets.dtype.kind not in "Uiu":
        return f"is {targets.dtype}, expected strings or integers"
    if targets.shape != arrays["lengths"].shape:
        return f"has shape {targets.shape}, lengths has {arrays['lengths'].shape}"
    return None


def _check_feature_names(arrays: Arrays) -> str | None:
    names, expected = arrays["feature_names"], (arrays["X"].shape[1],)
    if names.dtype.kind != "U" or names.shape != expected:
        return f"is {names.dtype} {names.shape}, expected strings {expected}"
    if len(np.unique(names)) < len(names):
        return "has a name twice"
    return None


CHECKS = {
    "X": _check_values,
    "lengths": _check_lengths,
    "y": _check_targets,
    "feature_names": _check_feature_names,
}


def _sequences(path: Path, arrays: Arrays, classes: NDArray[Any]) -> SequenceSet:
    with np.errstate(over="ignore"):  # too large becomes infinite, which `without_gaps` refuses
        values = arrays["X"].astype(np.float32)
    sequences: list[Floats] = []
    for index, part in enumerate(np.split(values, np.cumsum(arrays["lengths"])[:-1])):
        try:
            sequences.append(without_gaps(part))
        except ValueError as error:
            raise DataError(f"{path}: X, sequence {index}: {error}") from error
    return SequenceSet(sequences, np.searchsorted(classes, arrays["y"]).astype(np.int64))


def _feature_names(train: Arrays, test: Arrays, test_path: Path) -> list[str]:
    given = [arrays["feature_names"] for arrays in (train, test) if "feature_names" in arrays]
    if not given:
        return [f"feature_{index}" for index in range(train["X"].shape[1])]
    if not all(np.array_equal(names, given[0]) for names in given):
        raise DataError(f"{test_path}: feature_names differ from the training file's")
    return [str(name) for name in given[0]]
