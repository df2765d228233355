"""The settings of every task, told apart by the task's name."""

from __future__ import annotations

from service.tasks.forecasting.settings import ForecastingSettings

Settings = ForecastingSettings
