"""What a finished run leaves for export: weights (`model.pt`) and everything else (`card.json`)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict

from models import Architecture, SequenceModel, build
from service.manifest import Inputs, Limits, Profile, Provenance, Quality
from service.tasks.features import LogMel

CARD_FILE = "card.json"
WEIGHTS_FILE = "model.pt"


class Card(BaseModel):
    """The part of a manifest that training knows; export adds what the graph says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    architecture: dict[str, Any]
    inputs: Inputs
    labels: list[str]
    limits: Limits
    audio: LogMel | None
    quality: Quality
    profile: Profile
    provenance: Provenance


def save_run(folder: Path, card: Card, model: SequenceModel) -> None:
    """Write a finished run's weights and card."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), folder / WEIGHTS_FILE)
    (folder / CARD_FILE).write_text(card.model_dump_json(indent=2) + "\n")


def load_run(folder: Path) -> tuple[Card, SequenceModel]:
    """Read back what `save_run` wrote; the model is in evaluation mode."""
    card = Card.model_validate_json((folder / CARD_FILE).read_text())
    model = build(Architecture(**card.architecture))
    model.load_state_dict(torch.load(folder / WEIGHTS_FILE, weights_only=True))
    return card, model.eval()


def architecture_fields(architecture: Architecture) -> dict[str, Any]:
    """An architecture as the card holds it."""
    return dataclasses.asdict(architecture)
