"""Texts by character: Tiny Shakespeare, or any of a user's own.

Home of Tiny Shakespeare: https://github.com/karpathy/char-rnn, 1,115,394 characters of
Shakespeare's plays, in the public domain. The published split is the first 90 % to learn from, the
last 10 % to score.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data.fetching import fetched
from training.data.reading import DataError, read_lines

URL = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/"
    "d1d7aa34fdb3626174bce1d753e6cc6845ce7087/data/tinyshakespeare/input.txt"
)
FILE = "tinyshakespeare.txt"
SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
TRAIN_SHARE = 0.9

Tokens = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class TextSet:
    """A text to learn from and one to score, as tokens of one vocabulary."""

    name: str
    train: Tokens
    test: Tokens
    symbols: list[str]
    """The vocabulary: the character of each token, sorted."""
    unknown: str
    """Stands for characters that are not of it: the most frequent."""
    coverage: float
    """The share of the second text's characters that the vocabulary has."""
    licence: str
    split: str
    """How train and test were parted, in words."""


def load_tinyshakespeare(path: Path | None = None) -> TextSet:
    """The text with its published split.

    Args:
        path: Of the file; found or downloaded if None.
    Raises:
        ValueError: It is another text.
        OSError: The file can't be read or downloaded.
    """
    content = (path or find_tinyshakespeare()).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise ValueError(f"{FILE} has sha256 {digest}, expected {SHA256}")
    text = content.decode()
    cut = int(TRAIN_SHARE * len(text))
    return text_set(
        "Tiny Shakespeare",
        text[:cut],
        text[cut:],
        licence="public domain",
        split="published: the first 90 % to learn from, the last 10 % to score",
    )


def load_texts(train: Path, test: Path, encoding: str = "utf-8") -> TextSet:
    """A user's own two files; each line ends with a newline alone.

    Raises:
        DataError: One is in another encoding, or has less than two characters.
        OSError: One can't be read.
    """
    return text_set(
        train.stem,
        _read(train, encoding),
        _read(test, encoding),
        licence="as given by the user",
        split=f"as given: {train.name} and {test.name}",
    )


def text_set(name: str, train: str, test: str, licence: str, split: str) -> TextSet:
    """The set of two texts; its vocabulary is that of the first."""
    symbols = sorted(set(train))
    most = max(symbols, key=train.count)
    tokens = {symbol: token for token, symbol in enumerate(symbols)}
    learnt, scored = (
        np.array([tokens.get(symbol, tokens[most]) for symbol in text]) for text in (train, test)
    )
    coverage = sum(symbol in tokens for symbol in test) / len(test)
    return TextSet(name, learnt, scored, symbols, most, coverage, licence, split)


def _read(path: Path, encoding: str) -> str:
    text = "\n".join(read_lines(path, encoding))
    if len(text) < 2:
        raise DataError(f"{path} has {len(text)} characters; a text has two at least")
    return text


def find_tinyshakespeare() -> Path:
    """The file, downloaded once."""
    return fetched(URL, FILE)
