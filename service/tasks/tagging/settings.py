"""What a tagging bundle says of its task."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from service.tasks.settings import TaskSettings


class TaggingSettings(TaskSettings):
    """How a sentence becomes the graph's steps, and logits become tags."""

    task: Literal["tagging"] = "tagging"
    words: str = Field("words.txt", description="file of the known words, one a line, folded")
    characters: str = Field("characters.txt", description="file of the known characters, likewise")
    num_characters: int = Field(ge=2, description="of a word, that a step holds")
    max_characters: int = Field(10_000, ge=1, description="of one text")
    transitions: str | None = Field(
        None, description="file of the tags' transitions (.npz); none: each word's tag by itself"
    )
