"""A `model.json` written by hand: the few lines that make a graph of any tool a sequence model.

What it does not say is read from the graph. Without any such file a graph takes whole tensors.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from service.errors import BundleError
from service.manifest import MANIFEST_FILE
from service.reasons import why_not
from service.tasks.settings import Activation

MAX_LENGTH = 4_096

Value = bool | int | float | str | list[Any]
"""A number or a string, or nested lists of them."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DescribedInputs(_Part):
    """The graph's input that has the sequences, and those that say how long each of them is."""

    name: str = Field(description="the graph's input with the sequences: numbers, or token ids")
    time_axis: int | None = Field(
        1, ge=0, description="which of its axes is the time; null: none, a run takes a single step"
    )
    batch_axis: int | None = Field(
        0,
        ge=0,
        description="likewise the batch; null: none, a run takes a single sequence; left out: "
        "0, or 1 where time_axis is 0",
    )
    step_shape: list[PositiveInt] | None = Field(
        None, description="sizes of its further axes, where the graph leaves them open"
    )
    vocabulary: PositiveInt | None = Field(
        None, description="how many ids there are, counted from 0; default: found by trying"
    )
    lengths: str | None = Field(
        None, description="the graph's input (batch,) with the lengths, of any type of numbers"
    )
    mask: str | None = Field(
        None, description="the graph's input (batch, time) that is 1, or true, at real steps"
    )
    padding_mask: str | None = Field(None, description="likewise, but 1, or true, at padding")

    @model_validator(mode="after")
    def _axes_differ(self) -> DescribedInputs:
        if self.time_axis is not None and self.time_axis == self.batch:
            raise ValueError("time_axis and batch_axis are one axis")
        for name in ("lengths", "mask", "padding_mask"):
            if self.time_axis is None and getattr(self, name) is not None:
                raise ValueError(f"{name}: a graph that takes a single step has none; leave it out")
        return self

    @property
    def batch(self) -> int | None:
        """The batch's axis."""
        if "batch_axis" in self.model_fields_set:
            return self.batch_axis
        return 1 if self.time_axis == 0 else 0


class DescribedState(_Part):
    """One recurrent state tensor: what comes out is what goes in for the next chunk."""

    input: str = Field(description="the graph's input, numbers of any type; kept as float32")
    output: str = Field(description="the graph's output with what it becomes")
    initial: float = Field(0.0, description="its values before the first step")
    batch_axis: int | None = Field(
        None, ge=0, description="of the input; default: its one axis of any size"
    )
    shape: list[PositiveInt] | None = Field(
        None, description="sizes of its axes but the batch's, where the graph leaves them open"
    )


class DescribedTask(_Part):
    """What the answers mean, so that they can be asked for in words."""

    name: Literal["classification", "step_classification"] | None = Field(
        None, description="default: by the output, of the whole sequence or of each step"
    )
    output: str | None = Field(
        None, description="the graph's output with a value a label; default: its only one"
    )
    labels: list[str] = Field(min_length=2, description="what the values stand for, in order")
    activation: Activation = Field(
        "softmax",
        description="what makes probabilities of the values: `none` where they are already, "
        "`sigmoid` where a single one decides between two labels",
    )
    features: list[str] | None = Field(
        None, description="names of the features of a step, for the metadata"
    )


class DescribedLimits(_Part):
    """What the model accepts."""

    max_length: int = Field(MAX_LENGTH, ge=1, description="steps in one sequence, at most")
    min_length: int | None = Field(
        None, ge=1, description="steps in one sequence, at least; default: found by trying"
    )

    @model_validator(mode="after")
    def _is_a_range(self) -> DescribedLimits:
        if (self.min_length or 1) > self.max_length:
            raise ValueError("min_length is over max_length")
        return self


class Description(_Part):
    """The whole file."""

    inputs: DescribedInputs
    constants: dict[str, Value] = Field(
        default_factory=dict,
        description="the graph's inputs that are always the same, and their value: nested lists in "
        "their shape, or one for all their elements",
    )
    state: list[DescribedState] = Field(default_factory=list)
    outputs: list[str] | None = Field(
        None, min_length=1, description="the graph's outputs that are answered; default: all"
    )
    limits: DescribedLimits = DescribedLimits(max_length=MAX_LENGTH, min_length=None)
    task: DescribedTask | None = None


def read_description(document: object) -> Description:
    """Check what such a file says.

    Raises:
        BundleError: It says something else, or not enough; its fields named.
    """
    try:
        return Description.model_validate(document)
    except ValidationError as error:
        raise BundleError(
            f"{MANIFEST_FILE} has no schema_version, so it is one written by hand, "
            f"but not valid: {why_not(error, Description)}"
        ) from error
