"""Tagged text in CoNLL's format: a word a line, a blank line between sentences.

Columns are parted by tabs, or else by spaces; the first is the word, the last its tag, any between
are passed over. Lines that begin with `-DOCSTART-` are passed over too. Span tags may be in BIO,
IOB1, IOBES or BILOU; they are read as BIO.
"""

from __future__ import annotations

from pathlib import Path

from training.data.frames.own import DataError
from training.data.texts.tagged import Sentence, TaggedText, marks_spans, to_bio


def load_conll(train: Path, test: Path, name: str, validation: Path | None = None) -> TaggedText:
    """Read the files of a problem.

    Raises:
        DataError: A file is not in the format, or all words have one tag; names file and line.
        OSError: A file can't be read.
    """
    parts = [read_conll(path) if path else [] for path in (train, validation, test)]
    tags = {tag for part in parts for sentence in part for tag in sentence.tags}
    if marks_spans(tags):
        parts = [[Sentence(s.words, to_bio(s.tags)) for s in part] for part in parts]
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


def read_conll(path: Path) -> list[Sentence]:
    """The sentences of one file, tags as they stand there.

    Raises:
        DataError: A line has fewer than two columns, or it is no text; or there are no sentences.
        OSError: The file can't be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}") from error
    sentences: list[Sentence] = []
    words: list[str] = []
    tags: list[str] = []
    for number, line in enumerate([*lines, ""], start=1):
        if not line.strip():
            if words:
                sentences.append(Sentence(words, tags))
                words, tags = [], []
        elif not line.startswith("-DOCSTART-"):
            columns = line.rstrip("\r").split("\t") if "\t" in line else line.split()
            if len(columns) < 2 or not columns[0].strip() or not columns[-1].strip():
                raise DataError(f"{path}, line {number}: a word and its tag are needed: {line!r}")
            words.append(columns[0].strip())
            tags.append(columns[-1].strip())
    if not sentences:
        raise DataError(f"{path} holds no sentences")
    return sentences


def to_conll(sentences: list[Sentence]) -> str:
    """A file's content: word, tab, tag."""
    blocks = (
        "".join(f"{word}\t{tag}\n" for word, tag in zip(*sentence, strict=True))
        for sentence in sentences
    )
    return "\n".join(blocks)
