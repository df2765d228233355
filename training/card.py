"""What a finished run leaves for export: weights (`model.pt`) and everything else (`card.json`)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from service.manifest import Inputs, Limits, Manifest, Outputs, Profile, Provenance, Quality, Scores
from service.manifest.settings import Settings
from service.tasks.features import LogMel
from service.tasks.settings import TaskName
from training.tasks import TASKS

CARD_FILE = "card.json"
WEIGHTS_FILE = "model.pt"


def _pattern_of(field: str) -> str:
    rules = Manifest.model_fields[field].metadata
    return next(str(rule.pattern) for rule in rules if hasattr(rule, "pattern"))


NAME_PATTERN, VERSION_PATTERN = _pattern_of("name"), _pattern_of("version")
"""Of what a bundle may be called, and of its versions."""


def check_name(name: str) -> str:
    """Give back a name that a bundle can have.

    Raises:
        ValueError: It is none.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise ValueError(
            f"{name!r} can't be a bundle's name: it has letters, digits, `.`, `_` and `-` alone, "
            "a letter or digit first, 100 at most"
        )
    return name


class Card(BaseModel):
    """The part of a manifest that training knows; export adds what the graph says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME_PATTERN)
    task: TaskName = "classification"
    architecture: dict[str, Any]
    inputs: Inputs
    outputs: Outputs
    settings: Settings | None = None
    limits: Limits
    audio: LogMel | None = None
    quality: Quality | Scores
    profile: Profile
    provenance: Provenance
    files: list[str] = Field(default_factory=list, description="beside the card, by name")


def save_run(folder: Path, card: Card, files: dict[str, bytes], model: nn.Module) -> None:
    """Write a finished run's weights, card and files."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), folder / WEIGHTS_FILE)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / CARD_FILE).write_text(card.model_dump_json(indent=2) + "\n")


def load_run(folder: Path) -> tuple[Card, Any]:
    """Read back what `save_run` wrote; the model is in evaluation mode."""
    card = Card.model_validate_json((folder / CARD_FILE).read_text())
    model = TASKS[card.task].rebuild(card.architecture)
    model.load_state_dict(torch.load(folder / WEIGHTS_FILE, weights_only=True))
    return card, model.eval()
