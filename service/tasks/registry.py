"""The tasks by name."""

from __future__ import annotations

from service.tasks.classification.task import Classification
from service.tasks.classification.texts import TextClassification
from service.tasks.tagging.task import TaggingTask
from service.tasks.task import Bundle, Task

TASKS: dict[str, type[Task]] = {
    "classification": Classification,
    "classification of texts": TextClassification,
    "tagging": TaggingTask,
}


def task_of(bundle: Bundle) -> Task:
    """The task of a bundle.

    Raises:
        BundleError: A file of the bundle is not as its task needs it.
    """
    name: str = bundle.manifest.task
    if name == "classification" and bundle.manifest.inputs.tokens:
        name = "classification of texts"
    return TASKS[name](bundle)
