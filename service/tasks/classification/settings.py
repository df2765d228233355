"""What a bundle that classifies texts says of its task."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from service.tasks.settings import TaskSettings


class TextClassificationSettings(TaskSettings):
    """How a text becomes the graph's steps: a character each."""

    task: Literal["classification"] = "classification"
    characters: str = Field(
        "characters.txt", description="file of the known characters, one a line"
    )
