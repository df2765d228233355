"""A user's own text files: the one way in which every task reads them.

Text is UTF-8 unless `encoding` says otherwise; a byte order mark says it itself. Lines end with a
newline (after a carriage return or not) and with nothing else: U+2028, U+0085 and the like are
characters of a text. Tables are read by Python's csv module.
"""

from __future__ import annotations

import codecs
import csv
import dataclasses
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

SPACE = " \t\r\n"
"""What is cut off lines and cells: no other white space ends a word."""
MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # begins as UTF-16's
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
GUESSES = ("utf-8", "cp1252", "latin-1")
NAMES = {"\t": "tabs", ",": "commas", ";": "semicolons"}
SHOWN_CHARACTERS = 30
NUM_NAMED = 8


class DataError(ValueError):
    """Raised when a data file is not what its format says: names the file and the place."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a file is to be read: keys of a recipe's `[data]`; what is None is found out."""

    encoding: str = "utf-8"
    delimiter: str | None = None
    """Of a table's columns: one character."""
    quoted: bool | None = None
    """Whether cells may stand in quotes, which a delimiter or a newline needs; "" is a quote."""
    header: bool | None = None
    """Whether a table's first row has the names of its columns."""

    def __post_init__(self) -> None:
        """Raises: ValueError: No such encoding, or no single character."""
        try:
            codecs.lookup(self.encoding)
        except LookupError as error:
            raise ValueError(f"encoding: Python knows no {self.encoding!r}") from error
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise ValueError(f"delimiter: {self.delimiter!r} is no single character")


READING_OPTIONS = frozenset(field.name for field in dataclasses.fields(Reading))
Column = str | int
"""By its name in the header, or by its number from 1."""


def read_text(path: Path | str, encoding: str = "utf-8") -> str:
    """A file's text, without a byte order mark; line ends as they are.

    Raises:
        DataError: It is not in this encoding: names the line, and what it may be in.
        OSError: It can't be read.
    """
    content = Path(path).read_bytes()
    for mark, marked in MARKS.items():
        if content.startswith(mark):
            content, encoding = content[len(mark) :], marked
            break
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(_not_in(encoding, path, content, error.start)) from error


def read_lines(path: Path | str, encoding: str = "utf-8") -> list[str]:
    """Its lines, without their ends; errors as `read_text`'s."""
    return list(io.StringIO(read_text(path, encoding), newline=None).read().split("\n"))


class Row(NamedTuple):
    """One of a table, and the line that it begins in."""

    line: int
    cells: list[str]


@dataclasses.dataclass(frozen=True)
class Table:
    """The rows of a file that are not blank; `names` of its columns if it has a header."""

    file: str
    rows: list[Row]
    names: list[str] | None = None

    def place(self, row: Row) -> str:
        """Where a row is, for errors."""
        return f"{self.file}, line {row.line}"

    def index(self, column: Column) -> int:
        """Which of a row's cells a column is.

        Raises:
            DataError: There is no such column.
        """
        if isinstance(column, str):
            names = [name.casefold() for name in self.names or []]
            if column.casefold() in names:
                return names.index(column.casefold())
            known = ", ".join(self.names[:NUM_NAMED]) if self.names else "none: say header = true"
            raise DataError(f"{self.file}: no column {column!r}; its names are {known}")
        width = max(len(row.cells) for row in self.rows)
        if not 1 <= column <= width:
            raise DataError(f"{self.file}: no column {column}; it has {width}")
        return column - 1

    def cell(self, row: Row, index: int) -> str:
        """One of a row's.

        Raises:
            DataError: The row has no such column.
        """
        if index >= len(row.cells):
            raise DataError(
                f"{self.place(row)}: it has {len(row.cells)} columns, column {index + 1} is needed"
            )
        return row.cells[index]

    def with_header(self, *, is_told: bool = False) -> Table:
        """The table whose first row is made its header, which the user may be told."""
        names = self.rows[0].cells
        if is_told:
            tell(self.file, f"the first row is a header: {', '.join(names[:NUM_NAMED])}")
        return dataclasses.replace(self, rows=self.rows[1:], names=names)


def read_table(
    path: Path | str,
    reading: Reading,
    known: Sequence[str] = (),
    columns: Sequence[Column] = (),
    *,
    is_ragged: bool = False,
) -> Table:
    """A table of columns parted by tabs, or in a `.csv` by commas or semicolons.

    Whether cells are quoted is what makes rows of one number of columns. Unless `reading` says it,
    there is a header if `columns` are told by name, or if the first row is of `known` names only.

    Args:
        path: Of the file.
        reading: What is said of it.
        known: Names of columns that a user may have given, in small letters.
        columns: What the caller will ask for.
        is_ragged: Rows may have any number of columns from 2.
    Raises:
        DataError: It is not in its encoding, or a quote is not closed; names file and line.
        OSError: It can't be read.
    """
    text = read_text(path, reading.encoding)
    return parse_table(text, str(path), reading, known, columns, is_ragged=is_ragged)


def parse_table(
    text: str,
    file: str,
    reading: Reading,
    known: Sequence[str] = (),
    columns: Sequence[Column] = (),
    *,
    is_ragged: bool = False,
) -> Table:
    """`read_table` of a text that is there already."""
    delimiter, quoted = _shape(text, file, reading, is_ragged=is_ragged)
    table = Table(file, list(_rows(text, file, delimiter, quoted=quoted)))
    if delimiter not in (reading.delimiter, "," if _is_csv(file) else "\t"):
        tell(file, f"columns are parted by {NAMES[delimiter]}")
    if reading.quoted is None and not _is_csv(file) and quoted and '"' in text:
        tell(file, "cells are in quotes (if these are plain characters, say quoted = false)")
    first = table.rows[0].cells if table.rows else []
    is_header = reading.header
    if is_header is None:
        is_header = any(isinstance(column, str) for column in columns)
        if not is_header and first and all(cell.casefold() in known for cell in first):
            return table.with_header(is_told=True)
    return table.with_header() if is_header and table.rows else table


def write_rows(rows: Sequence[Sequence[str]]) -> str:
    """A table's text that `read_table` reads: tabs, and quotes where cells need them."""
    written = io.StringIO()
    csv.writer(written, delimiter="\t", lineterminator="\n").writerows(rows)
    return written.getvalue()


def tell(file: str, decided: str) -> None:
    """Say what was found out about a file, so that nobody is surprised by it."""
    print(f"{file}: {decided}", file=sys.stderr)


def _shape(text: str, file: str, reading: Reading, *, is_ragged: bool) -> tuple[str, bool]:
    """The delimiter, and whether cells are quoted."""
    usual = [*",;\t"] if _is_csv(file) else ["\t"]
    delimiters = [reading.delimiter] if reading.delimiter else usual
    ways = [True] if _is_csv(file) else [True, False]
    ways = ways if reading.quoted is None else [reading.quoted]
    for quoted in ways:
        for delimiter in delimiters:
            try:
                widths = {len(row.cells) for row in _rows(text, file, delimiter, quoted=quoted)}
            except DataError:
                continue
            if widths and min(widths) > 1 and (is_ragged or len(widths) == 1):
                return delimiter, quoted
    return delimiters[0], ways[-1]


def _is_csv(file: str) -> bool:
    return file.lower().endswith(".csv")


def _rows(text: str, file: str, delimiter: str, *, quoted: bool) -> Iterator[Row]:
    """Rows that are not blank, cells without space around them."""
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        strict=True,
    )
    line = 1
    try:
        for found in reader:
            cells = [cell.strip(SPACE) for cell in found]
            if any(cells):
                yield Row(line, cells)
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{file}, line {line}: {error}: a quote that begins a cell ends it too, and is doubled "
            "within it; if quotes are plain characters here, say quoted = false"
        ) from error


def _not_in(encoding: str, path: Path | str, content: bytes, place: int) -> str:
    """What to say of a file that is in another encoding."""
    line = content.count(b"\n", 0, place) + 1
    begin = content.rfind(b"\n", 0, place) + 1
    wrong = f"{path}, line {line}: byte 0x{content[place]:02x} is not {encoding.upper()}"
    if b"\0" in content[:200]:
        return f"{wrong}; it looks like UTF-16: say encoding = 'utf-16', or save it as UTF-8"
    for guess in GUESSES:
        try:
            content.decode(guess)
        except UnicodeDecodeError:
            continue
        seen = content[max(begin, place - SHOWN_CHARACTERS // 2) :][:SHOWN_CHARACTERS]
        shown = seen.decode(guess, "replace").split("\n")[0]
        return (
            f"{wrong}; as {guess} it reads {shown!r}: if that is right, say encoding = '{guess}', "
            "or save the file as UTF-8"
        )
    raise AssertionError("Latin-1 has all bytes")
