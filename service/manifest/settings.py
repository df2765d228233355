"""The settings of every task, told apart by the task's name."""

from __future__ import annotations

from service.tasks.generation.settings import GenerationSettings

Settings = GenerationSettings
