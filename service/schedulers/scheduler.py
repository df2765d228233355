"""A model with its scheduler: what runs next is chosen in `native/schedule/`, and run from here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service import native
from service.graphs.model import Arrays, Model, check_outputs
from service.schedulers.bounds import Bounds
from service.schedulers.cost import CostModel
from service.telemetry.metrics import ModelMetrics

Floats = NDArray[np.float32]
Outputs = tuple[Floats, Floats | None, list[Floats]]
"""Logits (batch, classes), weights (batch, time) if there are any, and the new state."""


class Scheduler:
    """Chooses a model's batches, and runs them.

    Args:
        model: What runs them; its manifest says which kind of scheduler it needs.
        bounds: How much at a time.
        cost: What a run takes.
        metrics: This model's.
    """

    def __init__(
        self, model: Model, bounds: Bounds, cost: CostModel, metrics: ModelMetrics
    ) -> None:
        self.model = model
        self.bounds = bounds
        self.cost = cost
        self.metrics = metrics
        manifest = model.manifest
        self._state_inputs = [pair.input for pair in manifest.state]
        self._state_outputs = [pair.output for pair in manifest.state]
        about = (bounds.native(), cost, metrics.tally, manifest.num_features)
        self.core: native.Scheduler
        """What chooses: `cells.hpp` or `sequences.hpp`."""
        if manifest.batching == "cells":
            state = [(pair.shape, pair.initial) for pair in manifest.state]
            self.core = native.CellScheduler(*about, state)
        else:
            self.core = native.SequenceScheduler(*about)

    def compute(self, run: native.Run, workspace: native.Workspace) -> Outputs:
        """Run the graph on what lies in the workspace.

        Raises:
            Exception: The graph failed, or its outputs have other shapes than they should.
        """
        manifest = self.model.manifest
        inputs, lengths, *state = self.core.tensors(run, workspace)
        held: Arrays = dict(zip(self._state_inputs, state, strict=True))
        outputs = self.model.run(inputs, lengths, held)
        check_outputs(manifest, outputs, run.num_rows, run.num_steps)
        names = manifest.outputs
        return (
            outputs[names.logits],
            outputs[names.weights] if names.weights else None,
            [outputs[name] for name in self._state_outputs],
        )
