"""`model.json` as a whole."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints, model_validator

from service.manifest.parts import (
    SHA256,
    BundleFile,
    Inputs,
    Limits,
    Outputs,
    Part,
    Precision,
    Profile,
    Provenance,
    StatePair,
    VariantName,
)
from service.manifest.quality import ParityCell, Quality, Scores, Variant
from service.manifest.settings import Settings
from service.tasks.features import LogMel
from service.tasks.settings import TaskName

SCHEMA_VERSION = 1

FileName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]


class Manifest(Part):
    """`model.json`, schema 1."""

    schema_version: Literal[1] = 1
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    version: str = Field(pattern=r"^[1-9][0-9]{0,9}$")
    family: str
    task: TaskName
    batching: Literal["cells", "sequences", "decoding"]
    inputs: Inputs
    outputs: Outputs
    state: list[StatePair] = Field(default_factory=list)
    limits: Limits
    audio: LogMel | None = Field(
        None, description="how a recording becomes frames; none if it can't"
    )
    sha256: str = Field(pattern=SHA256, description="of the graph's bytes")
    graph_bytes: int = Field(gt=0)
    parity: list[ParityCell]
    quality: Quality | Scores
    variants: dict[VariantName, Variant] = Field(
        default_factory=dict, description="by precision; additive, so still schema 1"
    )
    refused_variants: dict[VariantName, str] = Field(
        default_factory=dict, description="why the export made none of this precision"
    )
    files: dict[FileName, BundleFile] = Field(
        default_factory=dict, description="what lies beside the graph and is read with it"
    )
    settings: Settings | None = Field(None, description="the task's own, if it has any")
    profile: Profile
    provenance: Provenance

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Manifest:
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
        if not (
            len(self.profile.feature_means)
            == len(self.profile.feature_deviations)
            == len(self.inputs.features)
        ):
            raise ValueError("profile: feature_means and feature_deviations are one a feature")
        if both := self.variants.keys() & self.refused_variants.keys():
            raise ValueError(f"variants and refused_variants both name {', '.join(sorted(both))}")
        return self

    @property
    def num_features(self) -> int:
        """Values a step."""
        return len(self.inputs.features)

    @property
    def precisions(self) -> list[Precision]:
        """What the bundle has a graph for, fp32 first."""
        return [name for name in get_args(Precision) if name == "fp32" or name in self.variants]
