"""The contract of a bundle: everything a server must know that is not in the graph.

Owned by its reader, the service; training imports it and writes `model.json` with it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from service.errors import BundleError
from service.tasks.features import LogMel

SCHEMA_VERSION = 1
GRAPH_FILE = "model.onnx"
MANIFEST_FILE = "model.json"

Precision = Literal["fp32", "int8"]
"""What a graph computes with; every bundle has fp32, some a variant beside it."""

VariantName = Literal["int8"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Inputs(_Part):
    """What the graph reads: sequences, float32 (batch, time, features), and lengths (batch,)."""

    name: str = "inputs"
    lengths: str = "lengths"
    features: list[str] = Field(min_length=1, description="one name a feature, in order")


class Outputs(_Part):
    """What the graph answers."""

    logits: str = Field("logits", description="float32 (batch, classes), before the softmax")
    weights: str | None = Field(
        None, description="attention per step, float32 (batch, time), rows sum to 1; none if absent"
    )
    labels: list[str] = Field(min_length=2, description="one a class, in the order of the logits")


class StatePair(_Part):
    """One recurrent state tensor, float32 (batch, *shape): an explicit pair of graph names."""

    input: str
    output: str
    shape: list[int]
    initial: float = 0.0


class Limits(_Part):
    """What the model accepts."""

    max_length: int = Field(ge=1, description="steps in one sequence")


class Provenance(_Part):
    """Where the bundle comes from, enough to make it again."""

    dataset: str
    data_licence: str
    split: str
    seed: int
    hyperparameters: dict[str, Any]
    libraries: dict[str, str]
    git_commit: str | None = None
    created_utc: str


class Quality(_Part):
    """The score of this very graph on the test split, touched once."""

    test_accuracy: float
    test_sequences: int
    baseline_accuracy: float = Field(description="logistic regression on mean and deviation")
    seeds: dict[str, float] = Field(
        default_factory=dict, description="test accuracy of every seed trained with these settings"
    )


class Speed(_Part):
    """How fast a variant is, measured at export side by side with the fp32 graph."""

    relative: float = Field(gt=0, description="cells a second, of fp32's; one thread")
    batch_size: int = Field(ge=1)
    steps: int = Field(ge=1, description="of each sequence")
    cpu: str = Field(description="where it was measured, with what matters of its instructions")


class Variant(_Part):
    """The same model in another precision, in a graph of its own beside `model.onnx`."""

    file: str = Field(pattern=r"^model\.[a-z0-9]+\.onnx$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the file's bytes")
    graph_bytes: int = Field(gt=0)
    test_accuracy: float | None = Field(
        description="as `quality.test_accuracy`; none where the model was not scored"
    )
    agreement: float = Field(ge=0, le=1, description="share of answers with the label of fp32's")
    max_abs_error: float = Field(ge=0, description="of a logit, against fp32's on the same inputs")
    company_error: float = Field(
        ge=0, description="of a logit, against the same sequence alone: neighbours at the extremes"
    )
    tolerance: float = Field(
        gt=0, description="how far neighbours may move an answer, of its scale; checked at load"
    )
    speed: Speed


class ParityCell(_Part):
    """One cell of the parity grid: max |onnxruntime - torch| over every output."""

    batch: int
    time: int
    max_abs_error: float


class Profile(_Part):
    """What the training inputs looked like, to compare live inputs with."""

    length_quantiles: dict[str, float] = Field(description="steps, by quantile such as `0.5`")
    feature_means: list[float]
    feature_deviations: list[float]


class Manifest(_Part):
    """`model.json`, schema 1."""

    schema_version: Literal[1] = 1
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    version: str = Field(pattern=r"^[1-9][0-9]{0,9}$")
    family: str
    task: Literal["classification"]
    batching: Literal["cells", "sequences"]
    inputs: Inputs
    outputs: Outputs
    state: list[StatePair] = Field(default_factory=list)
    limits: Limits
    audio: LogMel | None = Field(
        None, description="how a recording becomes frames; none if it can't"
    )
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the graph's bytes")
    graph_bytes: int = Field(gt=0)
    parity: list[ParityCell]
    quality: Quality
    variants: dict[VariantName, Variant] = Field(
        default_factory=dict, description="by precision; additive, so still schema 1"
    )
    refused_variants: dict[VariantName, str] = Field(
        default_factory=dict, description="why the export made none of this precision"
    )
    profile: Profile
    provenance: Provenance

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Manifest:
        if (self.batching == "cells") != bool(self.state):
            raise ValueError("batching is `cells` exactly when the graph carries state")
        if self.audio and self.audio.num_mels != len(self.inputs.features):
            raise ValueError("audio.num_mels differs from the number of input features")
        if self.state and self.outputs.weights:
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


def read_document(folder: Path, sha256: str | None = None) -> dict[str, Any]:
    """What `model.json` of one version's folder says.

    Args:
        folder: `<model>/<version>`.
        sha256: That the file must have, if any: a signature's.

    Raises:
        BundleError: It is missing, or no JSON object; or it is another file than was signed.
    """
    try:
        content = (folder / MANIFEST_FILE).read_bytes()
        document = json.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{MANIFEST_FILE} can't be read: {error}") from error
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise BundleError(f"{MANIFEST_FILE} was changed after its signature was checked")
    if not isinstance(document, dict):
        raise BundleError(f"{MANIFEST_FILE} is not a JSON object")
    return document


def read_manifest(folder: Path) -> Manifest:
    """Read and check a bundle's `model.json`; see `read_document` and `check_manifest`."""
    return check_manifest(folder, read_document(folder))


def check_manifest(folder: Path, document: dict[str, Any]) -> Manifest:
    """Check what a bundle's `model.json` says.

    Raises:
        BundleError: It is from a newer schema, against the schema, or of another folder.
    """
    schema = document.get("schema_version")
    if isinstance(schema, int) and schema > SCHEMA_VERSION:
        raise BundleError(
            f"{MANIFEST_FILE} has schema_version {schema}; this server reads up to {SCHEMA_VERSION}"
        )
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(map(str, line['loc'])) or 'model.json'}: {line['msg']}"
            for line in error.errors()
        )
        raise BundleError(f"{MANIFEST_FILE} is not valid: {reasons}") from error
    if manifest.version != folder.name or manifest.name != folder.parent.name:
        raise BundleError(
            f"{MANIFEST_FILE} says {manifest.name}/{manifest.version}, "
            f"its folder says {folder.parent.name}/{folder.name}"
        )
    return manifest


def read_graph(folder: Path, manifest: Manifest, precision: Precision = "fp32") -> bytes:
    """Read the graph of a precision and hold it against the manifest's size and sha256.

    Raises:
        BundleError: The file is missing, truncated or tampered with.
        KeyError: The bundle has no such variant.
    """
    if precision == "fp32":
        file, size, sha256 = GRAPH_FILE, manifest.graph_bytes, manifest.sha256
    else:
        variant = manifest.variants[precision]
        file, size, sha256 = variant.file, variant.graph_bytes, variant.sha256
    try:
        graph = (folder / file).read_bytes()
    except OSError as error:
        raise BundleError(f"{file} can't be read: {error}") from error
    if len(graph) != size:
        raise BundleError(f"{file} has {len(graph)} bytes, the manifest says {size}")
    digest = hashlib.sha256(graph).hexdigest()
    if digest != sha256:
        raise BundleError(f"{file} has sha256 {digest}, the manifest says {sha256}")
    return graph
