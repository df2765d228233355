"""Tagged text in CoNLL's formats: a word a line, a blank line between sentences.

Columns are parted by tabs, or else by spaces. The first is the word and the last its tag, or those
that are named; in CoNLL-U's ten columns they are FORM and UPOS, and lines of multiword tokens
(`1-2`) and empty nodes (`1.1`) are passed over. So are comments before a sentence (`# id 7`,
`# text = ...`) and lines that begin with `-DOCSTART-`. Span tags may be in BIO, IOB1, IOBES or
BILOU; they are read as BIO.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from service.tasks.text.words import forms_of
from training.data.reading import SPACE, Column, DataError, Row, Table, read_lines, tell
from training.data.texts.tagged import Sentence, TaggedText, marks_spans, to_bio

CONLL_U = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
ID = re.compile(r"\d+(?:[-.]\d+)?")
NO_WORD = re.compile(r"\d+[-.]\d+")
COMMENT = re.compile(r"#\s*(?:$|(?:id|sent_id|newdoc|newpar|text)\b|[\w.:]+\s*=)")
GLOBAL_COLUMNS = re.compile(r"#\s*global\.columns\s*=\s*(.+)")
Block = list[Row]
"""The lines of a sentence."""


def load_conll(
    train: Path,
    test: Path,
    name: str,
    validation: Path | None = None,
    word: Column | None = None,
    tag: Column | None = None,
    encoding: str = "utf-8",
) -> TaggedText:
    """Read the files of a problem.

    Words are as a server has them: quotes and dashes of one form, Unicode's NFC.

    Args:
        train: Of sentences to learn from; test and validation likewise.
        test: To score.
        name: Of the set.
        validation: What decides between weights; a set may come without.
        word: The column of the words, by number from 1 or CoNLL-U's name; found out if None.
        tag: That of the tags.
        encoding: Of the files.
    Raises:
        DataError: A file is not in the format, or all words have one tag; names file and line.
        OSError: A file can't be read.
    """
    files = (train, validation, test)
    parts = [read_conll(path, word, tag, encoding) if path else [] for path in files]
    tags = {tag for part in parts for sentence in part for tag in sentence.tags}
    schema = to_bio if marks_spans(tags) else list
    parts = [[Sentence(forms_of(s.words), schema(s.tags)) for s in part] for part in parts]
    if len({tag for sentence in parts[0] for tag in sentence.tags}) < 2:
        raise DataError(f"{train}: all words have one tag; a tagger needs two")
    return TaggedText(
        name=name,
        train=parts[0],
        validation=parts[1],
        test=parts[2],
        licence="the user's own data",
        split=f"as given: {train.name} for training, {test.name} for the test",
    )


def read_conll(
    path: Path, word: Column | None = None, tag: Column | None = None, encoding: str = "utf-8"
) -> list[Sentence]:
    """The sentences of one file, words and tags as they stand there.

    Raises:
        DataError: A line has no word or no tag, or it is no text; or there are no sentences.
        OSError: The file can't be read.
    """
    lines = read_lines(path, encoding)
    blocks = list(_blocks(lines))
    if not blocks:
        raise DataError(f"{path} holds no sentences")
    table = Table(str(path), [row for block in blocks for row in block], _names(lines, blocks))
    if table.names and (word, tag) == (None, None):
        word, tag = "FORM", "UPOS"
        tell(str(path), "CoNLL-U: words are in the column FORM, tags in UPOS")
    first = 0 if word is None else table.index(word)
    last = -1 if tag is None else table.index(tag)
    return [_sentence(table, block, first, last) for block in blocks]


def _sentence(table: Table, block: Block, first: int, last: int) -> Sentence:
    found = Sentence([], [])
    for row in block:
        if table.names and "ID" in table.names and NO_WORD.fullmatch(row.cells[0]):
            continue
        pair = [table.cell(row, place) for place in (first, last)] if len(row.cells) > 1 else []
        if not pair or not all(pair):
            raise DataError(
                f"{table.place(row)}: a word and its tag are needed, there is {row.cells}"
            )
        found.words.append(pair[0])
        found.tags.append(pair[1])
    if not found.words:
        raise DataError(f"{table.place(block[0])}: the sentence has no words")
    return found


def _blocks(lines: list[str]) -> Iterator[Block]:
    """The lines of each sentence, as columns."""
    has_tabs = any("\t" in line.strip(SPACE) for line in lines if not line.startswith("#"))
    block: Block = []
    for number, line in enumerate([*lines, ""], start=1):
        if not line.strip(SPACE):
            if block:
                yield block
            block = []
        elif line.startswith("-DOCSTART-") or (not block and _is_comment(line, has_tabs=has_tabs)):
            continue
        elif has_tabs:
            block.append(Row(number, [cell.strip(SPACE) for cell in line.split("\t")]))
        else:
            block.append(Row(number, re.split("[ \t]+", line.strip(SPACE))))


def _is_comment(line: str, *, has_tabs: bool) -> bool:
    """Whether a line before a sentence is none of its words: `#` may be a word too."""
    if not line.startswith("#"):
        return False
    return "\t" not in line if has_tabs else bool(COMMENT.match(line))


def _names(lines: list[str], blocks: list[Block]) -> list[str] | None:
    """Names of the columns: as a comment says, or CoNLL-U's; None if the file has none."""
    if found := GLOBAL_COLUMNS.match(lines[0]):
        return found[1].split()
    rows = [row for block in blocks for row in block]
    if all(len(row.cells) == len(CONLL_U) and ID.fullmatch(row.cells[0]) for row in rows):
        return list(CONLL_U)
    return None


def to_conll(sentences: list[Sentence]) -> str:
    """A file's content: word, tab, tag."""
    blocks = (
        "".join(f"{word}\t{tag}\n" for word, tag in zip(*sentence, strict=True))
        for sentence in sentences
    )
    return "\n".join(blocks)
