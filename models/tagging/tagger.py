"""Taggers: words and their characters, any encoder that sees whole sentences, logits a word."""

from __future__ import annotations

import dataclasses

from models.families import FAMILIES, architecture_of
from models.heads import PerStep
from models.sequence import SequenceModel
from models.tagging.crf import Emissions
from models.tagging.words import WordsAndCharacters


@dataclasses.dataclass(frozen=True)
class TaggerArchitecture:
    """Which tagger to build; what a family does not use, it ignores."""

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
    cell: str = "lstm"
    dropout: float = 0.4


def build_tagger(architecture: TaggerArchitecture) -> SequenceModel:
    """A new tagger with random weights (torch's global generator).

    Raises:
        ValueError: Unknown family, or a cell that it does not run over.
    """
    front = WordsAndCharacters(
        tuple(architecture.tokens),
        architecture.word_size,
        architecture.character_size,
        architecture.num_filters,
        architecture.dropout,
    )
    encoded = architecture_of(
        architecture.family,
        front.input_size,
        architecture.num_tags,
        hidden_size=architecture.hidden_size,
        num_layers=architecture.num_layers,
        num_heads=architecture.num_heads,
        cell=architecture.cell,
        dropout=architecture.dropout,
    )
    encoder = FAMILIES[architecture.family].encoder(encoded)
    head = Emissions if architecture.has_transitions else PerStep
    return SequenceModel(
        front, encoder, head(encoder.width, architecture.num_tags, architecture.dropout)
    )
