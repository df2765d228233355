"""What a bundle that classifies texts says of its task."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from service.tasks.settings import TaskSettings


class TextClassificationSettings(TaskSettings):
    """How a text becomes the graph's steps: a character each, with the groups that end there."""

    task: Literal["text_classification"] = "text_classification"
    characters: str = Field(
        "characters.txt", description="file of the known characters, one a line"
    )
    buckets: list[Annotated[int, Field(ge=2)]] = Field(
        default_factory=list,
        description="how many ids the groups of two characters have, those of three, and so on",
    )
