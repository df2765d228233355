"""The tasks by name."""

from __future__ import annotations

from service.tasks.classification.task import Classification
from service.tasks.generation.task import Generation
from service.tasks.settings import TaskName
from service.tasks.task import Bundle, Task

TASKS: dict[TaskName, type[Task]] = {
    "classification": Classification,
    "generation": Generation,
}


def task_of(bundle: Bundle) -> Task:
    """The task of a bundle.

    Raises:
        BundleError: A file of the bundle is not as its task needs it.
    """
    return TASKS[bundle.manifest.task](bundle)
