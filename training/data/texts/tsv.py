"""Labelled texts in a table: two columns, or more of which two are named."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from training.data.reading import (
    Column,
    DataError,
    Reading,
    Row,
    Table,
    read_table,
    write_rows,
)
from training.data.texts.labelled import Labelled, LabelledText

TEXT_NAMES = ("text", "texts", "sentence", "review", "comment", "content", "body", "utterance")
LABEL_NAMES = ("label", "labels", "category", "class", "sentiment", "target", "intent", "y")
KNOWN = (*TEXT_NAMES, *LABEL_NAMES)


def load_tsv(
    train: Path,
    test: Path,
    name: str,
    validation: Path | None = None,
    text: Column = 1,
    label: Column = 2,
    **reading: Any,
) -> LabelledText:
    """Read the files of a problem.

    Args:
        train: Of texts to learn from; test and validation likewise.
        test: To score.
        name: Of the set.
        validation: What decides between weights; a set may come without.
        text: The column of the texts.
        label: That of the labels.
        reading: See `training.data.reading.Reading`.
    Raises:
        DataError: A file is not in the format, all texts have one label, or the test has a label
            that the training part has not; names file and line.
        OSError: A file can't be read.
    """
    options = Reading(**reading)
    parts = [
        read_tsv(path, text, label, options) if path else [] for path in (train, validation, test)
    ]
    found = {item.label for item in parts[0]}
    if len(found) < 2:
        raise DataError(f"{train}: all texts have one label; a classifier needs two")
    for number, item in enumerate(parts[2], start=1):
        if item.label not in found:
            raise DataError(f"{test}, text {number}: label {item.label!r} is not in {train}")
    return LabelledText(
        name=name,
        train=parts[0],
        validation=parts[1],
        test=parts[2],
        licence="the user's own data",
        split=f"as given: {train.name} for training, {test.name} for the test",
    )


def read_tsv(
    path: Path, text: Column = 1, label: Column = 2, reading: Reading | None = None
) -> list[Labelled]:
    """The texts of one file; blank lines are passed over.

    Raises:
        DataError: A line has no text or no label, or it is no text; or there are none.
        OSError: The file can't be read.
    """
    reading = reading or Reading()
    table = read_table(path, reading, KNOWN, (text, label))
    for row in table.rows:
        if len(row.cells) < 2 or ((text, label) == (1, 2) and len(row.cells) > 2):
            raise DataError(
                f"{table.place(row)}: a text, a tab and a label are needed, it has "
                f"{len(row.cells)} columns; where there are more, say which: text = 1, label = 3"
            )
    if not table.rows:
        raise DataError(f"{path} holds no texts")
    places = table.index(text), table.index(label)
    if reading.header is None and table.names is None and _begins_with_names(table, places[1]):
        table = table.with_header(is_told=True)
    return [_item(table, row, places) for row in table.rows]


def _item(table: Table, row: Row, places: tuple[int, int]) -> Labelled:
    item = Labelled(*(table.cell(row, place) for place in places))
    if not all(item):
        raise DataError(f"{table.place(row)}: a text, a tab and a label are needed, one is empty")
    return item


def _begins_with_names(table: Table, place: int) -> bool:
    """Whether the first row's label is of no other row, while each other label is of several."""
    first, *others = (table.cell(row, place) for row in table.rows)
    counts = Counter(others)
    return len(counts) > 1 and first not in counts and min(counts.values()) > 1


def to_tsv(items: list[Labelled]) -> str:
    """A file's content."""
    return write_rows(items)
