"""What a bundle says of its translation."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from service.tasks.settings import TaskSettings
from service.tasks.translation.units import Units

SOURCE_FILE, TARGET_FILE = "source.txt", "target.txt"

MAX_BEAM = 32
MAX_LENGTH_PENALTY = 5.0

UnknownPolicy = Literal["refuse", "copy"]


class Writing(BaseModel):
    """How texts become tokens, and tokens texts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source_units: Units
    target_units: Units
    lowercase: bool = Field(False, description="whether sources are read in lower case")
    unknown: UnknownPolicy = Field(
        "refuse",
        description="units that the source vocabulary lacks: `refuse` the text, or read them as "
        "unknown and `copy` to each unknown target unit the source unit attended to most",
    )


class TranslationSettings(TaskSettings):
    """How a model writes, and what its decoder holds."""

    task: Literal["translation"] = "translation"
    writing: Writing
    example: str = Field(min_length=1, description="a source that the model was not taught")
    max_tokens: PositiveInt = Field(description="of a target, its end among them")
    beam: int = Field(1, ge=1, le=MAX_BEAM, description="unless a request says another")
    length_penalty: float = Field(1.0, ge=0, le=MAX_LENGTH_PENALTY, description="likewise")
    memory_width: PositiveInt = Field(description="values a source step in the encoder's memory")
    cache_width: int = Field(0, ge=0, description="values a target step in the decoder's cache")
