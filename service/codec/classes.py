"""The classification extension: of each row's values the largest, by their names."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.codec.strings import string_array


def top_classes(values: NDArray[Any], num_classes: int, labels: list[str]) -> NDArray[Any]:
    """The largest values of each row, largest first, as the protocol writes them.

    Args:
        values: Numbers (batch, ...), the classes in the further axes; or (classes,).
        num_classes: Of each row; all if there are fewer.
        labels: One a class, or none.

    Returns:
        Strings `value:index` or `value:index:label`, (batch, num_classes) or (num_classes,).
    """
    batch = values.shape[:1] if values.ndim > 1 else ()
    rows = values.reshape(*(batch or (1,)), math.prod(values.shape[len(batch) :]))
    # turned round twice: the sort goes up, and of equal values the first is to come first
    order = rows.shape[1] - 1 - np.argsort(rows[:, ::-1], axis=1, kind="stable")
    order = order[:, ::-1][:, :num_classes]
    named = [
        ":".join([str(row[index]), str(index), *labels[index : index + 1]])
        for row, best in zip(rows, order, strict=True)
        for index in best
    ]
    return string_array(named, [*batch, order.shape[1]])
