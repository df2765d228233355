"""Labelled texts, one a line: the text, a tab, its label."""

from __future__ import annotations

from pathlib import Path

from training.data.frames.own import DataError
from training.data.texts.labelled import Labelled, LabelledText


def load_tsv(train: Path, test: Path, name: str) -> LabelledText:
    """Read the two files of a problem.

    Raises:
        DataError: A file is not in the format, all texts have one label, or the test has a label
            that the training part has not; names file and line.
        OSError: A file can't be read.
    """
    parts = [read_tsv(path) for path in (train, test)]
    found = {item.label for item in parts[0]}
    if len(found) < 2:
        raise DataError(f"{train}: all texts have one label; a classifier needs two")
    for number, item in enumerate(parts[1], start=1):
        if item.label not in found:
            raise DataError(f"{test}, text {number}: label {item.label!r} is not in {train}")
    return LabelledText(
        name=name,
        train=parts[0],
        test=parts[1],
        licence="the user's own data",
        split=f"as given: {train.name} for training, {test.name} for the test",
    )


def read_tsv(path: Path) -> list[Labelled]:
    """The texts of one file; blank lines are passed over.

    Raises:
        DataError: A line is not a text, a tab and a label, or it is no text; or there are none.
        OSError: The file can't be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}") from error
    items: list[Labelled] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            columns = [column.strip() for column in line.split("\t")]
            if len(columns) != 2 or not all(columns):
                raise DataError(f"{path}, line {number}: a text, a tab and a label are needed")
            items.append(Labelled(*columns))
    if not items:
        raise DataError(f"{path} holds no texts")
    return items


def to_tsv(items: list[Labelled]) -> str:
    """A file's content; texts must hold neither tabs nor newlines."""
    return "".join(f"{text}\t{label}\n" for text, label in items)
