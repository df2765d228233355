"""A model that answers: one version of it, in each of its precisions."""

from __future__ import annotations

import dataclasses

from service.errors import InvalidRequestError, ModelNotReadyError
from service.graphs.spec import SequenceSpec, Signature, spec_of
from service.manifest import Contract, Manifest, Precision
from service.schedulers.scheduler import Scheduler
from service.tasks.decoding import DecodingTask
from service.tasks.task import Task


@dataclasses.dataclass(frozen=True, eq=False)
class Served:
    """A model that answers, in one precision.

    Args:
        name: Of the model.
        version: Of the model.
        sha256: Of its graph.
        signature: What it takes and answers.
        scheduler: Runs it.
        sequences: How it runs on sequences; None if it does not: then it decodes, or takes whole
            tensors.
        task: Reads requests in the user's own terms; None if there is none.
        precision: That it computes with.
        properties: What else a user should know, for the metadata.
    """

    name: str
    version: str
    sha256: str
    signature: Signature
    scheduler: Scheduler
    sequences: SequenceSpec | None = None
    task: Task | None = None
    precision: Precision = "fp32"
    properties: dict[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of_bundle(cls, task: Task, scheduler: Scheduler, precision: Precision = "fp32") -> Served:
        """A bundle's model."""
        manifest = task.manifest
        assert isinstance(manifest, Manifest), "a bundle has a whole one"
        spec = spec_of(manifest)
        graph = manifest if precision == "fp32" else manifest.variants.get(precision, manifest)
        return cls(
            name=manifest.name,
            version=manifest.version,
            sha256=graph.sha256,
            signature=spec.signature(),
            scheduler=scheduler,
            sequences=None if isinstance(task, DecodingTask) else spec,
            task=task,
            precision=precision,
        )

    @property
    def manifest(self) -> Contract | None:
        """What its task reads; None if it has none."""
        return self.task.manifest if self.task else None

    @property
    def decodes(self) -> bool:
        """Whether it makes texts of prompts: it then takes neither sequences nor tensors."""
        return isinstance(self.task, DecodingTask)

    @property
    def batching(self) -> str:
        """What kind of scheduler it has: `cells`, `sequences`, `decoding` or `tensors`."""
        if self.decodes:
            return "decoding"
        if self.sequences is None:
            return "tensors"
        return "cells" if self.sequences.state else "sequences"

    @property
    def labels(self) -> tuple[str, str, str, str, str, str]:
        """Of `seqserve_model_info`."""
        family, task = "", "tensors"
        if self.manifest:
            family, task = self.manifest.family, self.manifest.task
        return self.name, self.version, self.precision, family, task, self.batching


@dataclasses.dataclass(frozen=True, eq=False)
class Loaded:
    """One version of a model, in all its precisions."""

    served: Served
    """What answers a request that asks for no precision."""
    others: dict[str, Served | str]
    """Its other precisions, each serving or why it does not."""
    num_bytes: int = 0
    """Of its files."""

    def get(self, precision: str | None = None, field: str = "precision") -> Served:
        """The model computing with this precision; without one, as it does by default.

        Args:
            precision: Such as `int8`.
            field: Where in the request it stands, for the error.

        Raises:
            InvalidRequestError: It has no such precision.
            ModelNotReadyError: That one was refused.
        """
        if precision is None or precision == self.served.precision:
            return self.served
        found, served = self.others.get(precision), self.served
        if found is None:
            manifest = served.manifest
            refused = manifest.refused_variants if isinstance(manifest, Manifest) else {}
            why = "".join(f": {reason}" for name, reason in refused.items() if name == precision)
            there = " and ".join(sorted({served.precision, *self.others}))
            raise InvalidRequestError(
                f"{field} {precision!r} is none of model {served.name!r}, which has {there}{why}",
                field,
            )
        if isinstance(found, str):
            raise ModelNotReadyError(
                f"{precision} of model {served.name!r} is not ready: {found}", field
            )
        return found
