"""What a language model's manifest says of its texts; the vocabulary is `outputs.labels`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from service.tasks.settings import TaskSettings


class Cache(BaseModel):
    """What the graph keeps of every step, where its state is not of fixed size."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: PositiveInt = Field(description="values of an entry")
    window: PositiveInt | None = Field(
        None, description="entries that the graph looks back at; the whole text if none"
    )


class GenerationSettings(TaskSettings):
    """Of a model whose tokens are characters."""

    task: Literal["generation"] = "generation"
    begin: str = Field(min_length=1, max_length=1, description="comes before every text")
    unknown: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="takes the place of characters that the vocabulary has not; none: such texts "
        "are refused",
    )
    cache: Cache | None = None
