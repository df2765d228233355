"""What every task's own settings share; a manifest holds those of its task."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

TaskName = Literal[
    "classification",
    "text_classification",
    "transcription",
    "tagging",
    "translation",
    "generation",
    "forecasting",
]
"""Of bundles."""

ServedTaskName = TaskName | Literal["step_classification"]
"""Those, and what only graphs described by hand are asked for."""

Activation = Literal["softmax", "sigmoid", "none"]
"""What makes probabilities of a graph's values: of all classes, of the second of two, or nothing
since they are already.
"""


ENCODER_FILE = "encoder.onnx"
"""Beside `model.onnx`, where that decodes what another graph encodes."""


class TaskSettings(BaseModel):
    """What a bundle says of its task that its graph does not; each task has its own class."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    task: TaskName
