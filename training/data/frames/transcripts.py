"""A user's own recordings with what is said in them: tables of files and transcripts.

    own/talk.csv:   file,transcript,speaker
                    a/1.wav,good morning,ann

A transcript is its characters, or its words; runs of white space are one space. The training part's
are the labels: what another part has beyond them counts as errors, and is told.
"""

from __future__ import annotations

import unicodedata
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.tasks.features import LogMel
from training.data.frames.recordings import (
    TABLES,
    TEST_SHARE,
    Item,
    check_groups,
    frames_of,
    groups_of,
    read_items,
)
from training.data.frames.transcribed import UNKNOWN, Part, Transcribed, Unit
from training.data.groups import held_groups
from training.data.held import check_share, hold_out
from training.data.limits import longest_accepted
from training.data.reading import NUM_NAMED, Column, DataError, tell

Frames = NDArray[np.float32]

VALIDATION_SHARE = 0.1


def load_transcripts(
    train: str,
    valid: str,
    test: str,
    features: LogMel,
    name: str = "",
    unit: Unit = "character",
    transcript: Column = 2,
    validation_share: float = VALIDATION_SHARE,
    test_share: float = TEST_SHARE,
    **columns: Any,
) -> Transcribed:
    """Recordings and the labels said there, as log-mel frames.

    Args:
        train: A table, see `training.data.frames.recordings.read_items`.
        valid: Likewise; "": a share of the training recordings is drawn, of whole groups.
        test: Likewise.
        features: Of the frames.
        name: Of the set; the table's if none.
        unit: Whether labels are characters or words.
        transcript: The tables' column of transcripts.
        validation_share: Of the recordings that are not for the test, if drawn.
        test_share: Of all, if drawn.
        columns: See `read_items`.
    Raises:
        DataError: A file is no recording, or too short for its transcript; names the lines.
        ValueError: No such unit or share, or parts can't be drawn.
        OSError: A file can't be read.
    """
    if unit not in ("character", "word"):
        raise ValueError(f"unit: {unit!r} is neither 'character' nor 'word'")
    learnt = _read(Path(train), transcript, columns)
    held = _read(Path(valid), transcript, columns) if valid else None
    scored = _read(Path(test), transcript, columns) if test else None
    learnt, held, scored = _in_parts(learnt, held, scored, validation_share, test_share)
    labels = sorted({symbol for item in learnt for symbol in symbols_of(item.said, unit)})
    for file, part, items in ((valid, "validation", held), (test, "test", scored)):
        _tell_unknown(file or train, part, items, labels, unit)
    parts = _parts_of([learnt, held, scored], labels, unit, features)
    lengths = [list(map(len, part.frames)) for part in parts]
    return Transcribed(
        train=parts[0],
        validation=parts[1],
        test=parts[2],
        split=_split([train, valid, test], has_groups=groups_of(learnt) is not None),
        audio=features,
        name=name or Path(train).stem,
        licence="as given by the user",
        labels=labels,
        unit=unit,
        max_length=longest_accepted(lengths[0], lengths[1] + lengths[2]),
    )


def symbols_of(text: str, unit: Unit) -> list[str]:
    """The characters or the words of a transcript; letters with their accents (NFC)."""
    words = unicodedata.normalize("NFC", text).split()
    return words if unit == "word" else list(" ".join(words))


def draw(items: list[Item], share: float) -> tuple[list[Item], list[Item]]:
    """What is left to learn from, and a share that is held, of each group all or nothing.

    Raises:
        ValueError: No such share, or too few recordings or groups.
    """
    check_share(share)
    groups = groups_of(items)
    if groups is None:
        return hold_out(items, share)
    if (count := len(np.unique(groups))) < 2:
        raise ValueError(
            f"{count} group is too few to hold one: give the parts as files of their own"
        )
    is_held = held_groups(np.zeros(len(items), dtype=np.int64), groups, share, seed=0)
    parts: tuple[list[Item], list[Item]] = ([], [])
    for item, held in zip(items, is_held.tolist(), strict=True):
        parts[held].append(item)
    return parts


def _read(source: Path, transcript: Column, columns: dict[str, Any]) -> list[Item]:
    if source.suffix.lower() not in TABLES:
        raise DataError(f"{source} is no table ({', '.join(TABLES)}) of files and transcripts")
    return read_items(source, transcript, **columns)


def _in_parts(
    learnt: list[Item],
    valid: list[Item] | None,
    test: list[Item] | None,
    validation_share: float,
    test_share: float,
) -> tuple[list[Item], list[Item], list[Item]]:
    """Those to learn from, to validate on and to score; what is not given is drawn."""
    check_groups([part for part in (learnt, valid, test) if part is not None])
    if test is None:
        learnt, test = draw(learnt, test_share)
    if valid is None:
        learnt, valid = draw(learnt, validation_share)
    return learnt, valid, test


def _split(files: list[str], *, has_groups: bool) -> str:
    """How the parts were made, in words."""
    given = ", ".join(Path(file).name for file in files if file)
    drawn = " and ".join(
        part for part, file in zip(("validation", "test"), files[1:], strict=True) if not file
    )
    whole = ", whole groups" if has_groups else ""
    return f"as given: {given}" + (f"; drawn at random{whole}: {drawn}" if drawn else "")


def _tell_unknown(file: str, part: str, items: list[Item], labels: list[str], unit: Unit) -> None:
    """Say which labels no model can have learnt."""
    known = set(labels)
    unknown = [
        symbol for item in items for symbol in symbols_of(item.said, unit) if symbol not in known
    ]
    if unknown:
        named = ", ".join(map(repr, sorted(set(unknown))[:NUM_NAMED]))
        tell(
            file,
            f"{len(unknown)} {unit}s of the {part} part are not in the training part and count as "
            f"errors: {named}",
        )


def _parts_of(
    parts: list[list[Item]], labels: list[str], unit: Unit, features: LogMel
) -> list[Part]:
    """Each with its frames, and its labels by number; all are checked before one is made."""
    items = [item for part in parts for item in part]
    frames, said = frames_of(items, features), [symbols_of(item.said, unit) for item in items]
    _check_fit(items, frames, said, unit, features.hop_ms)
    numbers = {label: number for number, label in enumerate(labels)}
    targets = [[numbers.get(symbol, UNKNOWN) for symbol in symbols] for symbols in said]
    ends = list(accumulate(map(len, parts), initial=0))
    return [Part(frames[start:end], targets[start:end]) for start, end in pairwise(ends)]


def _check_fit(
    items: list[Item], frames: list[Frames], said: list[list[str]], unit: Unit, hop_ms: float
) -> None:
    """CTC says a label a step at most, and between two that are equal a blank.

    Raises:
        DataError: Recordings have fewer steps than their transcripts need.
    """
    faults = []
    for item, steps, symbols in zip(items, frames, said, strict=True):
        repeated = sum(one == after for one, after in pairwise(symbols))
        if len(steps) < (needed := len(symbols) + repeated):
            faults.append(
                f"{item.place}: {item.path.name} has {len(steps)} steps of {hop_ms:g} ms, "
                f"its {len(symbols)} {unit}s need {needed}"
            )
    if faults:
        more = f"; and {len(faults) - NUM_NAMED} more" if len(faults) > NUM_NAMED else ""
        raise DataError(
            f"{'; '.join(faults[:NUM_NAMED])}{more}: see whether the transcripts are theirs, or "
            "have shorter steps: features = { hop_ms = 10.0 }"
        )
