"""`model.json` of a bundle as a whole."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, model_validator

from service.manifest.contract import Contract
from service.manifest.parts import SHA256, Precision, Profile, Provenance, VariantName
from service.manifest.quality import ParityCell, Quality, Scores, Variant
from service.tasks.settings import TaskName

SCHEMA_VERSION = 1


class Manifest(Contract):
    """`model.json`, schema 1: the contract, and what was measured of the very graph beside it."""

    schema_version: Literal[1] = 1
    task: TaskName
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
    profile: Profile
    provenance: Provenance

    @model_validator(mode="after")
    def _is_of_one_graph(self) -> Manifest:
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
    def precisions(self) -> list[Precision]:
        """What the bundle has a graph for, fp32 first."""
        return [name for name in get_args(Precision) if name == "fp32" or name in self.variants]
