"""Classification of whatever a data set holds: features or texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from training.data.labelled import LabelledText
from training.recipe import Recipe
from training.task import Contract, Run, TrainingTask
from training.tasks.classification import ClassificationTask
from training.tasks.texts.task import TextClassificationTask

FRAMES, TEXTS = ClassificationTask(), TextClassificationTask()


class AnyClassificationTask(TrainingTask[Any, Any]):
    """Hands everything to the task of the data at hand."""

    name = "classification"

    def load(self, **data: Any) -> Any:
        """Texts: `dataset = "languages"`, or files that end in .tsv; anything else is features."""
        is_text = data.get("dataset") == "languages" or str(data.get("train", "")).endswith(".tsv")
        return (TEXTS if is_text else FRAMES).load(**data)

    def default_recipe(self, family: str, data: Any) -> Recipe:
        """How the data's own task trains."""
        return _of(data).default_recipe(family, data)

    def default_architecture(self, family: str, data: Any, **sizes: Any) -> dict[str, Any]:
        """As the data's own task has it."""
        return _of(data).default_architecture(family, data, **sizes)

    def begin(self, run: Run, data: Any) -> tuple[nn.Module, Any]:
        """A new model, and what it is to do."""
        return _of(data).begin(run, data)

    def rebuild(self, architecture: dict[str, Any]) -> nn.Module:
        """Of any family, whatever it reads."""
        return FRAMES.rebuild(architecture)

    def measure(self, model: Any, data: Any, objective: Any) -> dict[str, Any]:
        """All scores."""
        return _of(data).measure(model, data, objective)

    def contract(
        self, run: Run, data: Any, objective: Any, model: Any, metrics: dict[str, Any]
    ) -> Contract:
        """What the bundle's manifest is to say."""
        return _of(data).contract(run, data, objective, model, metrics)

    def settings(self, data: Any) -> dict[str, Any]:
        """What of the data decides a run's result."""
        return _of(data).settings(data)

    def draw(self, folder: Path, data: Any, metrics: dict[str, Any]) -> None:
        """Pictures of the scores."""
        _of(data).draw(folder, data, metrics)


def _of(data: Any) -> TrainingTask[Any, Any]:
    return TEXTS if isinstance(data, LabelledText) else FRAMES
