"""The `.ts` format of the UEA and UCR time series archives (Bagnall et al., arXiv:1811.00075).

    # a comment; some files begin it with %
    @problemName Gestures
    @univariate false
    @classLabel true wave circle
    @data
    0.1,0.2,0.3:1.0,1.1,1.2:wave
    0.5,?:0.9,1.4:circle

A line is a sequence: dimensions parted by `:`, values by `,`, its class last. Tags in any case;
lengths may differ from line to line. `?` or `NaN` is a missing value, filled as
`training.data.frames.own.without_gaps` says. Time stamps and regression targets are not read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.data.frames.dataset import Dataset, SequenceSet
from training.data.frames.own import Floats, own_dataset, without_gaps
from training.data.reading import DataError


def load_ts(train: Path, test: Path, name: str) -> Dataset:
    """Read the two files of a problem.

    Raises:
        DataError: A file is not in the format, or the two do not belong together; names the file
            and the line.
        OSError: A file can't be read.
    """
    train_header, train_set = _read(train)
    test_header, test_set = _read(test, train_header.labels)
    num_features, test_features = (part.sequences[0].shape[1] for part in (train_set, test_set))
    if test_features != num_features:
        raise DataError(f"{test} has {test_features} dimensions, {train} has {num_features}")
    if set(test_header.labels) != set(train_header.labels):
        raise DataError(
            f"{test} has classes {test_header.labels}, {train} has {train_header.labels}"
        )
    names = [f"dimension_{index}" for index in range(num_features)]
    return own_dataset(name, train_set, test_set, train_header.labels, names, (train, test))


@dataclasses.dataclass
class _Header:
    """What the tags say; 0 where they say nothing."""

    labels: list[str] = dataclasses.field(default_factory=list)
    dimensions: int = 0
    length: int = 0


def _read(path: Path, labels: list[str] | None = None) -> tuple[_Header, SequenceSet]:
    """One file; its targets count in `labels`, or in its own header's order if None."""
    sequences: list[Floats] = []
    targets: list[int] = []
    # comments are in any encoding; nothing else should hold more than ASCII
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        lines = _content(file)
        header = _read_header(path, lines)
        places = {label: index for index, label in enumerate(labels or header.labels)}
        for number, line in lines:
            try:
                *dimensions, label = line.split(":")
                sequence = _sequence(dimensions, header)
                if label.strip() not in places:
                    raise ValueError(f"class {label.strip()!r} is none of {list(places)}")
            except ValueError as error:
                raise DataError(f"{path}, line {number}: {error}") from error
            header.dimensions = sequence.shape[1]  # the first line's, if no tag says
            sequences.append(sequence)
            targets.append(places[label.strip()])
    if not sequences:
        raise DataError(f"{path}: no sequences after @data")
    return header, SequenceSet(sequences, np.array(targets, dtype=np.int64))


def _content(file: Iterator[str]) -> Iterator[tuple[int, str]]:
    """Lines with their numbers from 1, without comments and empty ones."""
    for number, line in enumerate(file, 1):
        if (content := line.strip()) and content[0] not in "#%":
            yield number, content


def _read_header(path: Path, lines: Iterator[tuple[int, str]]) -> _Header:
    """Take the tags off `lines`, up to and with @data."""
    header = _Header()
    for number, line in lines:
        tag, *words = line.split()
        try:
            if tag.lower() == "@data":
                break
            _read_tag(header, tag.lower(), words)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}") from error
    else:
        raise DataError(f"{path}: there is no @data line")
    if len(header.labels) < 2:
        raise DataError(f"{path}: no `@classLabel true` with two or more classes")
    return header


def _read_tag(header: _Header, tag: str, words: list[str]) -> None:
    if not tag.startswith("@"):
        raise ValueError(f"expected a tag or @data, not {tag[:40]!r}")
    value = words[0].lower() if words else ""
    if tag == "@timestamps" and value == "true":
        raise ValueError("time stamps are not supported; give values at even steps")
    if tag == "@targetlabel" and value == "true":
        raise ValueError("regression targets are not supported; give classes by @classLabel")
    if tag == "@classlabel" and value == "true":
        if len(set(words[1:])) < len(words[1:]):
            raise ValueError("@classLabel names a class twice")
        header.labels = words[1:]
    if tag == "@univariate" and value == "true":
        header.dimensions = 1
    if tag in ("@dimensions", "@dimension"):
        header.dimensions = _count(tag, value)
    if tag == "@serieslength":
        header.length = _count(tag, value)


def _count(tag: str, value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise ValueError(f"{tag} must be a whole number from 1, not {value!r}")
    return int(value)


def _sequence(dimensions: list[str], header: _Header) -> Floats:
    """One line's values, (time, features).

    Raises:
        ValueError: Not as the header says, or not numbers.
    """
    if not dimensions:
        raise ValueError("there is no `:` before a class")
    if len(dimensions) != (header.dimensions or len(dimensions)):
        raise ValueError(f"{len(dimensions)} dimensions, expected {header.dimensions}")
    columns = [_values(place, text) for place, text in enumerate(dimensions)]
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1:
        raise ValueError(f"dimensions have different lengths: {lengths}")
    if lengths[0] != (header.length or lengths[0]):
        raise ValueError(f"{lengths[0]} steps, @seriesLength says {header.length}")
    return without_gaps(np.stack(columns, axis=1))


def _values(place: int, text: str) -> Floats:
    values = []
    for word in text.split(","):
        try:
            values.append(np.nan if word.strip() == "?" else float(word))
        except ValueError:
            raise ValueError(f"{word.strip()!r} in dimension {place} is not a number") from None
    with np.errstate(over="ignore"):  # too large becomes infinite, which `without_gaps` refuses
        return np.array(values).astype(np.float32)
