"""The settings of every task, told apart by the task's name."""

from __future__ import annotations

from service.tasks.translation.settings import TranslationSettings

Settings = TranslationSettings
