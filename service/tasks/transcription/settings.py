"""What a bundle says of its transcription."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from service.tasks.settings import TaskSettings


class TranscriptionSettings(TaskSettings):
    """Which of the outputs' labels is none, and how the others make a text."""

    task: Literal["transcription"] = "transcription"
    blank: int = Field(ge=0, description="the place among the labels of CTC's blank: nothing said")
    separator: str = Field(
        " ",
        max_length=16,
        description="between two labels of a text; none where they are characters",
    )
