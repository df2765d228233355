"""The tasks, one file or folder each."""

from typing import Any

from service.tasks.settings import TaskName
from training.task import TrainingTask
from training.tasks.classification import ClassificationTask
from training.tasks.forecasting import ForecastingTask
from training.tasks.generation import GenerationTask
from training.tasks.tagging.task import TaggingTask
from training.tasks.texts.task import TextClassificationTask
from training.tasks.transcription import TranscriptionTask
from training.tasks.translation import TranslationTask

TASKS: dict[TaskName, TrainingTask[Any, Any]] = {
    "classification": ClassificationTask(),
    "text_classification": TextClassificationTask(),
    "forecasting": ForecastingTask(),
    "generation": GenerationTask(),
    "tagging": TaggingTask(),
    "transcription": TranscriptionTask(),
    "translation": TranslationTask(),
}
