"""Pairs of a source and what it becomes: two-column tables, and how parts are drawn.

A row of a table is `source<TAB>target`; further columns are further right targets, unless it is
said which columns are the source and the targets.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from training.data.reading import Column, DataError, Reading, read_table, write_rows

KNOWN = ("source", "target", "src", "tgt", "trg", "input", "output")


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


def load_tables(
    train: Path, test: Path, valid: Path | None = None, seed: int = 0, **options: Any
) -> Pairs:
    """Any data set out of tables; without one for validation, 5 % of the training rows are drawn.

    Args:
        train: A table, as those beside it.
        test: To score.
        valid: To validate on.
        seed: Of the rows drawn.
        options: See `read_pairs` and `training.data.reading.Reading`.
    Raises:
        DataError: A table is malformed; the message names file and line.
        OSError: A table can't be read.
    """
    learnt = read_pairs(train, **options)
    if valid:
        validation = read_pairs(valid, **options)
    else:
        random.Random(seed).shuffle(learnt)
        count = max(1, len(learnt) // 20)
        validation, learnt = learnt[:count], learnt[count:]
    if not learnt:
        raise DataError(f"{train} has too few rows: none is left to learn from")
    words = f"rows of {test.name}"
    return Pairs(
        train.stem, learnt, validation, read_pairs(test, **options), "your own data", words
    )


def read_pairs(
    path: Path,
    source: Column = 1,
    target: Column | Sequence[Column] | None = None,
    **reading: Any,
) -> list[Pair]:
    """The rows of one table; empty lines are skipped.

    Args:
        path: Of the table.
        source: Its column of sources.
        target: That of the targets, or several; all after the first column if None.
        reading: See `training.data.reading.Reading`.
    Raises:
        DataError: It has no rows, or one without a source or a target.
        OSError: It can't be read.
    """
    targets = [target] if isinstance(target, str | int) else target or []
    table = read_table(path, Reading(**reading), KNOWN, (source, *targets), is_ragged=not targets)
    if not table.rows:
        raise DataError(f"{path} has no rows")
    first, others = table.index(source), [table.index(column) for column in targets]
    pairs = []
    for row in table.rows:
        cells = [table.cell(row, place) for place in others] if others else row.cells[1:]
        pair = Pair(table.cell(row, first), tuple(cells))
        if not pair.source or not pair.targets or not all(pair.targets):
            raise DataError(f"{table.place(row)}: expected source, tab, target, none empty")
        pairs.append(pair)
    return pairs


def write_table(path: Path, pairs: list[Pair]) -> None:
    """What `read_pairs` reads."""
    path.write_text(write_rows([[pair.source, *pair.targets] for pair in pairs]), encoding="utf-8")


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
