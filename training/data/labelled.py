"""What loaders of labelled texts give: texts with a label each, already split."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple


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

    def labels(self) -> list[str]:
        """Those of the training part in order of the alphabet."""
        return sorted({item.label for item in self.train})
