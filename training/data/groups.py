"""Which groups of sequences to hold: whole ones, and of each class about the same share."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold


def held_groups(
    targets: NDArray[np.int64], groups: NDArray[np.int64], share: float, seed: int
) -> NDArray[np.bool_]:
    """Which sequences are held, (count,): all of a group or none, no class whole.

    Args:
        targets: The class of each sequence, (count,).
        groups: Its group, such as who speaks, (count,).
        share: Of the sequences, as near as groups allow.
        seed: Of what is drawn.
    Raises:
        ValueError: Groups can't be parted so.
    """
    classes, counts = np.unique(targets, return_counts=True)
    most = min(round(1 / share), len(np.unique(groups)), int(counts.max()))
    for num_parts in range(most, 1, -1):
        folds = StratifiedGroupKFold(num_parts, shuffle=True, random_state=seed)
        with warnings.catch_warnings():  # of classes with fewer sequences than parts
            warnings.simplefilter("ignore", UserWarning)
            parts = [held for _, held in folds.split(targets, targets, groups)]
        for places in parts:
            held = np.isin(np.arange(len(targets)), places)
            if held.any() and np.array_equal(np.unique(targets[~held]), classes):
                return held
    raise ValueError(
        f"{len(np.unique(groups))} groups can't be parted so that each class is left to learn "
        "from: give the parts as files of their own, or no groups"
    )
