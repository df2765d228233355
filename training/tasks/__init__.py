"""The tasks, one file or folder each."""

from typing import Any

from service.tasks.settings import TaskName
from training.task import TrainingTask
from training.tasks.classification.task import ClassificationTask
from training.tasks.forecasting.task import ForecastingTask
from training.tasks.generation.task import GenerationTask
from training.tasks.tagging.task import TaggingTask
from training.tasks.text_classification.task import TextClassificationTask
from training.tasks.transcription.task import TranscriptionTask
from training.tasks.translation.task import TranslationTask

TASKS: dict[TaskName, TrainingTask[Any, Any]] = {
    "classification": ClassificationTask(),
    "text_classification": TextClassificationTask(),
    "forecasting": ForecastingTask(),
    "generation": GenerationTask(),
    "tagging": TaggingTask(),
    "transcription": TranscriptionTask(),
    "translation": TranslationTask(),
}
