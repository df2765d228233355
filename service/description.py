"""A `model.json` written by hand: the few lines that make a graph of any tool a sequence model.

What it does not say is read from the graph. Without any such file a graph takes whole tensors.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.errors import BundleError
from service.manifest import MANIFEST_FILE

MAX_LENGTH = 4_096


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DescribedInputs(_Part):
    """The graph's input that has the sequences."""

    name: str
    time_axis: int = Field(1, ge=0, le=1, description="the batch's is the other of the first two")
    lengths: str | None = Field(
        None, description="the graph's input (batch,), int64, how long each sequence is; if any"
    )


class DescribedState(_Part):
    """One recurrent state tensor, float32: what comes out is what goes in for the next chunk."""

    input: str
    output: str
    initial: float = 0.0
    batch_axis: int | None = Field(
        None, ge=0, description="of the input; default: its one axis of any size"
    )


class DescribedLimits(_Part):
    """What the model accepts."""

    max_length: int = Field(MAX_LENGTH, ge=1, description="steps in one sequence")


class Description(_Part):
    """The whole file."""

    inputs: DescribedInputs
    state: list[DescribedState] = Field(default_factory=list)
    limits: DescribedLimits = DescribedLimits(max_length=MAX_LENGTH)


def read_description(document: object) -> Description:
    """Check what such a file says.

    Raises:
        BundleError: It says something else, or not enough; its fields named.
    """
    try:
        return Description.model_validate(document)
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(map(str, line['loc'])) or MANIFEST_FILE}: {line['msg']}"
            for line in error.errors()
        )
        raise BundleError(
            f"{MANIFEST_FILE} has no schema_version, so it is one written by hand, "
            f"but not valid: {reasons}"
        ) from error
