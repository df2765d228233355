"""The tasks, one file each."""

from typing import Any

from service.tasks.settings import TaskName
from training.task import TrainingTask
from training.tasks.classification import ClassificationTask
from training.tasks.translation import TranslationTask

TASKS: dict[TaskName, TrainingTask[Any, Any]] = {
    "classification": ClassificationTask(),
    "translation": TranslationTask(),
}
