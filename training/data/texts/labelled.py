"""What loaders of labelled texts give: texts with a label each, already split."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from training.data.held import hold_out_of_each


class Labelled(NamedTuple):
    """A text and its label."""

    text: str
    label: str


@dataclasses.dataclass(frozen=True)
class LabelledText:
    """A data set for classification of texts; its test part is touched once."""

    name: str
    train: list[Labelled]
    test: list[Labelled]
    licence: str
    split: str
    """How train and test were parted, in words."""
    validation: list[Labelled] = dataclasses.field(default_factory=list)
    """What decides between weights; a set may come without."""

    def labels(self) -> list[str]:
        """Those of the training part in order of the alphabet."""
        return sorted({item.label for item in self.train})


def with_validation(data: LabelledText, share: float) -> LabelledText:
    """The set with a validation part: its own, or a share of its training texts of each label.

    Raises:
        ValueError: No label has two training texts, or no such share.
    """
    if data.validation:
        return data
    labels = [item.label for item in data.train]
    train, validation = hold_out_of_each(data.train, share, labels)
    return dataclasses.replace(data, train=train, validation=validation)
