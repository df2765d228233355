"""The tasks, a file or a folder each."""

from typing import Any

from service.tasks.settings import TaskName
from training.task import TrainingTask
from training.tasks.any_classification import AnyClassificationTask
from training.tasks.tagging.task import TaggingTask

TASKS: dict[TaskName, TrainingTask[Any, Any]] = {
    "classification": AnyClassificationTask(),
    "tagging": TaggingTask(),
}
