"""The tasks by name."""

from __future__ import annotations

from service.tasks.classification.steps import StepClassification
from service.tasks.classification.task import Classification
from service.tasks.classification.texts import TextClassification
from service.tasks.forecasting.task import Forecasting
from service.tasks.generation.task import Generation
from service.tasks.settings import ServedTaskName
from service.tasks.tagging.task import TaggingTask
from service.tasks.task import Bundle, Task
from service.tasks.transcription.task import Transcription
from service.tasks.translation.task import Translation

TASKS: dict[ServedTaskName, type[Task]] = {
    "classification": Classification,
    "step_classification": StepClassification,
    "text_classification": TextClassification,
    "forecasting": Forecasting,
    "generation": Generation,
    "tagging": TaggingTask,
    "transcription": Transcription,
    "translation": Translation,
}


def task_of(bundle: Bundle) -> Task:
    """The task of a bundle.

    Raises:
        BundleError: A file of the bundle is not as its task needs it.
    """
    return TASKS[bundle.manifest.task](bundle)
