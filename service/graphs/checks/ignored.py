"""Whether a graph heeds all that it is given: some are unrolled for the steps of an example.

What lies past those is then taken without a word, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.graphs.checks.rows import Rows
from service.graphs.checks.values import ORDINARY
from service.graphs.model import Arrays

END = 0.25  # of an axis


def is_end_ignored(
    answer: Callable[[NDArray[Any]], Arrays], values: Iterable[NDArray[Any]], axis: int
) -> bool:
    """Whether the end of an axis changes nothing, of what changes when all of it does.

    Args:
        answer: The graph's, to one of these.
        values: Unlike each other, all of one shape.
        axis: Of them.
    """
    first: tuple[NDArray[Any], Arrays] | None = None
    changes = False
    for other in values:
        own = answer(other)
        if not _is_finite(own):
            continue
        if first is None:
            first = other, own
            continue
        size = other.shape[axis]
        end = (slice(None),) * axis + (slice(size - max(1, int(END * size)), None),)
        changed = first[0].copy()
        changed[end] = other[end]
        if not _is_same(first[1], answer(changed)):
            return False
        changes = changes or not _is_same(first[1], own)
    return changes


def _is_finite(answer: Arrays) -> bool:
    return all(np.isfinite(it).all() for it in answer.values() if it.dtype.kind == "f")


def _is_same(one: Arrays, other: Arrays) -> bool:
    return all(values.tobytes() == other[name].tobytes() for name, values in one.items())


def find_ignored(run: Callable[[Arrays], Arrays], rows: Rows) -> str:
    """What of a graph's inputs changes nothing, though it says that they may be of any size.

    Args:
        run: Runs it.
        rows: That it takes, of axes that are longer than it was made with.
    """
    random = np.random.default_rng(0)
    row, longest = rows.make(rows.kind, random), rows.make("large", random)
    # the largest whole numbers: lengths that end where the axis does, masks that cover it
    row |= {name: values for name, values in longest.items() if values.dtype.kind in "biu"}
    others = [rows.make(kind, random) for kind in (rows.kind, *ORDINARY)]
    for spec in rows.inputs:
        for axis in range(1, len(spec.shape)):
            if spec.shape[axis] != -1 or row[spec.name].dtype.hasobject:
                continue

            def answer(values: NDArray[Any], name: str = spec.name) -> Arrays:
                return run(row | {name: values})

            values = [row[spec.name], *(other[spec.name] for other in others)]
            try:
                is_ignored = is_end_ignored(answer, values, axis)
            except Exception:  # noqa: BLE001 - of any kind: it does not take such numbers
                continue
            if is_ignored:
                return f"the end of axis {axis} of {spec.name}, of {rows.axis_size} in all"
    return ""
