"""The settings of every task, told apart by the task's name."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from service.tasks.classification.settings import TextClassificationSettings
from service.tasks.forecasting.settings import ForecastingSettings
from service.tasks.generation.settings import GenerationSettings
from service.tasks.tagging.settings import TaggingSettings
from service.tasks.transcription.settings import TranscriptionSettings
from service.tasks.translation.settings import TranslationSettings

Settings = Annotated[
    TextClassificationSettings
    | ForecastingSettings
    | GenerationSettings
    | TaggingSettings
    | TranscriptionSettings
    | TranslationSettings,
    Field(discriminator="task"),
]
