"""Taggers: words and their characters, any encoder that sees whole sentences, logits a word."""

from __future__ import annotations

import dataclasses
from typing import Any

from models.families import FAMILIES, Architecture, architecture_of
from models.heads import PerStep
from models.sequence import SequenceModel
from models.tagging.crf import Emissions
from models.tagging.words import WordsAndCharacters


@dataclasses.dataclass(frozen=True)
class TaggerArchitecture:
    """Which tagger to build; what a family does not use, it ignores.

    Raises:
        ValueError: Unknown family, one that has no output for each step, or a cell that it does not
            run over.
    """

    family: str
    tokens: list[int]
    """How many ids a step's values have: of words, then of characters for each place."""
    num_tags: int
    has_transitions: bool
    """Whether a conditional random field stands over the logits."""
    word_size: int = 64
    character_size: int = 24
    num_filters: int = 48
    hidden_size: int = 128
    num_layers: int = 1
    num_heads: int = 4
    cell: str | None = None
    """None: the family's own."""
    dropout: float = 0.4

    def __post_init__(self) -> None:
        """Raises: ValueError: See above."""
        self.encoder(1)

    def encoder(self, input_size: int) -> Architecture:
        """Of the encoder that reads so many values a word."""
        sizes: dict[str, Any] = {
            "hidden_size": self.hidden_size,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
        }
        if self.cell is not None:
            sizes["cell"] = self.cell
        return architecture_of(self.family, input_size, self.num_tags, head="per_step", **sizes)


def build_tagger(architecture: TaggerArchitecture) -> SequenceModel:
    """A new tagger with random weights (torch's global generator)."""
    front = WordsAndCharacters(
        tuple(architecture.tokens),
        architecture.word_size,
        architecture.character_size,
        architecture.num_filters,
        architecture.dropout,
    )
    encoder = FAMILIES[architecture.family].encoder(architecture.encoder(front.input_size))
    head = Emissions if architecture.has_transitions else PerStep
    return SequenceModel(
        front, encoder, head(encoder.width, architecture.num_tags, architecture.dropout)
    )
