"""The tasks by name."""

from __future__ import annotations

from service.tasks.classification.task import Classification
from service.tasks.settings import TaskName
from service.tasks.task import Bundle, Task
from service.tasks.translation.task import Translation

TASKS: dict[TaskName, type[Task]] = {
    "classification": Classification,
    "translation": Translation,
}


def task_of(bundle: Bundle) -> Task:
    """The task of a bundle.

    Raises:
        BundleError: A file of the bundle is not as its task needs it.
    """
    return TASKS[bundle.manifest.task](bundle)
