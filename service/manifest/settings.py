"""The settings of every task, told apart by the task's name."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from service.tasks.classification.settings import TextClassificationSettings
from service.tasks.tagging.settings import TaggingSettings

Settings = Annotated[TextClassificationSettings | TaggingSettings, Field(discriminator="task")]
