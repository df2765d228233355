"""What a task knows of a model: its name, its tensors and what they mean."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from service.manifest.parts import BundleFile, Inputs, Limits, Outputs, Part, StatePair
from service.manifest.settings import Settings
from service.tasks.features import LogMel
from service.tasks.settings import ServedTaskName

FileName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]


class Contract(Part):
    """What a manifest says, or a few lines written by hand together with the graph."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    version: str = Field(pattern=r"^[1-9][0-9]{0,9}$")
    family: str
    task: ServedTaskName
    batching: Literal["cells", "sequences", "decoding"]
    inputs: Inputs
    outputs: Outputs
    state: list[StatePair] = Field(default_factory=list)
    limits: Limits
    audio: LogMel | None = Field(
        None, description="how a recording becomes frames; none if it can't"
    )
    files: dict[FileName, BundleFile] = Field(
        default_factory=dict, description="what lies beside the graph and is read with it"
    )
    settings: Settings | None = Field(None, description="the task's own, if it has any")

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Contract:
        if self.batching != "decoding" and (self.batching == "cells") != bool(self.state):
            raise ValueError("batching is `cells` exactly when the graph carries state")
        if self.settings and self.settings.task != self.task:
            raise ValueError(f"settings are of {self.settings.task}, the task is {self.task}")
        if self.audio and self.audio.num_mels != len(self.inputs.features):
            raise ValueError("audio.num_mels differs from the number of input features")
        if self.task.endswith("classification") and not self.outputs.labels:
            raise ValueError("outputs.labels: a classification has labels")
        if self.state and self.outputs.weights and self.batching == "cells":
            raise ValueError("a graph run in chunks (`cells`) can't answer weights of all steps")
        return self

    @property
    def num_features(self) -> int:
        """Values a step."""
        return len(self.inputs.features)
