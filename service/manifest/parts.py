"""What a bundle's graph takes, answers and comes from."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator

from service.tasks.settings import Activation

Precision = Literal["fp32", "int8"]
"""What a graph computes with; every bundle has fp32, some a variant beside it."""

VariantName = Literal["int8"]

SHA256 = r"^[0-9a-f]{64}$"


class Part(BaseModel):
    """A part of a manifest: nothing unknown, nothing not finite, nothing changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Inputs(Part):
    """What the graph reads: sequences and their lengths, int64 (batch,)."""

    name: str = "inputs"
    lengths: str = "lengths"
    features: list[str] = Field(
        default_factory=list,
        description="of float32 (batch, time, features): one name a feature, in order",
    )
    tokens: list[PositiveInt] = Field(
        default_factory=list,
        description="of int64 ids: how many ids each value of a step has; of one (batch, time), "
        "of several (batch, time, values)",
    )

    @model_validator(mode="after")
    def _is_one_kind(self) -> Inputs:
        if bool(self.features) == bool(self.tokens):
            raise ValueError("a step is either features or tokens")
        return self

    @property
    def step_shape(self) -> tuple[int, ...]:
        """Of one step: (features,), () of one token, or (values,) of several."""
        if self.features:
            return (len(self.features),)
        return () if len(self.tokens) == 1 else (len(self.tokens),)


class Outputs(Part):
    """What the graph answers."""

    logits: str = Field(
        "logits", description="float32 (batch, width), or of each step (batch, time, width)"
    )
    weights: str | None = Field(
        None, description="attention per step, float32 (batch, time), rows sum to 1; none if absent"
    )
    labels: list[str] = Field(
        default_factory=list, description="what the logits' last axis stands for, if it has names"
    )
    per_step: bool = Field(False, description="whether the logits are of each step")
    values: PositiveInt | None = Field(
        None, description="of the logits' last axis, where it has no labels"
    )
    activation: Activation = Field(
        "softmax", description="what makes probabilities of the logits of labels"
    )

    @model_validator(mode="after")
    def _has_a_width(self) -> Outputs:
        if bool(self.labels) == bool(self.values):
            raise ValueError("the logits' last axis has either labels or a number of values")
        return self

    @field_validator("labels")
    @classmethod
    def _are_a_choice(cls, labels: list[str]) -> list[str]:
        if len(labels) == 1:
            raise ValueError("one label is no choice")
        return labels

    @property
    def width(self) -> int:
        """Of the logits' last axis."""
        return self.values or len(self.labels)


class StatePair(Part):
    """One recurrent state tensor, float32 (batch, *shape): an explicit pair of graph names."""

    input: str
    output: str
    shape: list[int]
    initial: float = 0.0


class BundleFile(Part):
    """A file beside the graph: a vocabulary, a second graph."""

    sha256: str = Field(pattern=SHA256)
    num_bytes: int = Field(ge=0)


class Limits(Part):
    """What the model accepts."""

    max_length: int = Field(ge=1, description="steps in one sequence")


class Provenance(Part):
    """Where the bundle comes from, enough to make it again."""

    dataset: str
    data_licence: str
    split: str
    seed: int
    hyperparameters: dict[str, Any]
    libraries: dict[str, str]
    git_commit: str | None = None
    created_utc: str


class Bins(Part):
    """How values are spread: the share of those in each bin."""

    edges: list[float] = Field(min_length=1, description="between the bins, ascending")
    shares: list[float] = Field(description="one more than edges; a value at an edge is below it")

    @model_validator(mode="after")
    def _fit(self) -> Bins:
        if len(self.shares) != len(self.edges) + 1 or self.edges != sorted({*self.edges}):
            raise ValueError("edges ascend, and there is one share more")
        return self


class Profile(Part):
    """What the training inputs looked like, to compare live inputs with."""

    length_quantiles: dict[str, float] = Field(description="steps, by quantile such as `0.5`")
    feature_means: list[float] = Field(default_factory=list)
    feature_deviations: list[float] = Field(default_factory=list)
    length_bins: Bins | None = Field(None, description="of steps; else the quantiles have to do")
    feature_bins: list[Bins] = Field(
        default_factory=list, description="one a feature, of its value at every step"
    )
    feature_ranges: list[tuple[float, float]] = Field(
        default_factory=list, description="likewise: the least and the greatest"
    )
    vocabulary_coverage: float | None = Field(
        None, ge=0, le=1, description="share of the test split's tokens that the vocabulary has"
    )
