"""Pairs of a source and what it becomes: two-column tables, and how parts are drawn.

A row of a table is `source<TAB>target`; further columns are further right targets.
"""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import NamedTuple


class Pair(NamedTuple):
    """A source and its right targets, one at least."""

    source: str
    targets: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Pairs:
    """A data set of pairs in its parts."""

    name: str
    train: list[Pair]
    validation: list[Pair]
    test: list[Pair]
    licence: str
    split: str
    """How the test part was chosen, in words."""


def load_tables(train: Path, test: Path, valid: Path | None = None, seed: int = 0) -> Pairs:
    """Any data set out of tables; without one for validation, 5 % of the training rows are drawn.

    Raises:
        ValueError: A table is malformed; the message names file and line.
        OSError: A table can't be read.
    """
    learnt = read_table(train)
    if valid:
        validation = read_table(valid)
    else:
        random.Random(seed).shuffle(learnt)
        count = max(1, len(learnt) // 20)
        validation, learnt = learnt[:count], learnt[count:]
    if not learnt:
        raise ValueError(f"{train} has too few rows: none is left to learn from")
    words = f"rows of {test.name}"
    return Pairs(train.stem, learnt, validation, read_table(test), "your own data", words)


def read_table(path: Path) -> list[Pair]:
    """The rows of one table, UTF-8; empty lines are skipped.

    Raises:
        ValueError: It has no rows, or one without a source or a target.
        OSError: It can't be read.
    """
    pairs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        source, *targets = (column.strip() for column in line.split("\t"))
        if not source or not targets or not all(targets):
            raise ValueError(f"{path}, line {number}: expected source, tab, target, none empty")
        pairs.append(Pair(source, tuple(targets)))
    if not pairs:
        raise ValueError(f"{path} has no rows")
    return pairs


def write_table(path: Path, pairs: list[Pair]) -> None:
    """What `read_table` reads."""
    lines = ("\t".join([pair.source, *pair.targets]) + "\n" for pair in pairs)
    path.write_text("".join(lines), encoding="utf-8")


def parts(pairs: list[Pair], num_test: int, num_validation: int) -> tuple[list[Pair], ...]:
    """Train, validation and test of sorted, then shuffled pairs: alike on every machine.

    Raises:
        ValueError: There are too few.
    """
    if len(pairs) <= num_test + num_validation:
        raise ValueError(f"{len(pairs)} pairs are too few for {num_test} + {num_validation} held")
    shuffled = sorted(pairs)
    random.Random(0).shuffle(shuffled)
    held = num_test + num_validation
    return shuffled[held:], shuffled[num_test:held], shuffled[:num_test]
