"""A model of sequences: each is scheduled on its own, whatever request it came in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service import native
from service.graphs.model import Arrays, Model, check_outputs
from service.graphs.spec import OutputSpec
from service.schedulers.bounds import Bounds
from service.schedulers.cost import CostModel
from service.schedulers.job import Job, SequenceJob
from service.schedulers.scheduler import Outputs, Scheduler
from service.telemetry.parts.model import ModelMetrics


class SequenceScheduler(Scheduler):
    """Runs sequences in chunks (`cells.hpp`) where the graph carries state, else whole ones.

    Args:
        model: What runs them.
        bounds: How much at a time.
        cost: What a run takes.
        metrics: This model's.
    """

    def __init__(
        self, model: Model, bounds: Bounds, cost: CostModel, metrics: ModelMetrics
    ) -> None:
        self.model = model
        spec = model.spec
        choose = native.CellScheduler if spec.state else native.SequenceScheduler
        core = choose(bounds.native(), cost, metrics.tally, spec.native())
        super().__init__(core, bounds, cost, metrics)
        self._state_inputs = [state.input for state in spec.state]
        self._state_outputs = [state.output for state in spec.state]

    def make_job(
        self,
        asked: Sequence[NDArray[Any]],
        on_done: Callable[[Job], None],
        priority: int,
        timeout_s: float,
    ) -> Job:
        """A job of these sequences, (time_i, *step_shape) each, checked; they are copied."""
        return SequenceJob(asked, on_done, priority, timeout_s)

    def compute(self, run: native.Run, workspace: native.Workspace) -> Outputs:
        """Run the graph on what lies in the workspace."""
        spec = self.model.spec
        steps, lengths, *state = self.core.tensors(run, workspace)
        inputs = steps.view(spec.dtype).reshape(run.num_rows, run.num_steps, *spec.step_shape)
        held: Arrays = dict(zip(self._state_inputs, state, strict=True))
        outputs = self.model.run(inputs, lengths, held)
        check_outputs(spec, outputs, run.num_rows, run.num_steps)
        return (
            [np.ascontiguousarray(outputs[output.name]) for output in spec.outputs],
            [outputs[name] for name in self._state_outputs],
        )

    def num_rows(self, job: native.Job) -> int:
        """Its sequences."""
        return job.num_sequences

    def results(self, job: native.Job) -> Arrays:
        """Its outputs; what is said of each step (batch, longest, *shape), zero past each row's."""
        return {
            output.name: _batch(output, values, job.lengths)
            for output, values in zip(self.model.spec.outputs, job.outputs, strict=True)
        }


def _batch(output: OutputSpec, values: bytes, lengths: Sequence[int]) -> NDArray[Any]:
    rows = np.frombuffer(values, output.dtype).reshape(-1, *output.shape)
    if not output.per_step:
        return rows
    if len(lengths) == 1:
        return rows[None]
    batch = np.zeros(output.axes(len(lengths), max(lengths)), output.dtype)
    stop = 0
    for row, length in zip(batch, map(output.rule.num_steps, lengths), strict=True):
        row[:length] = rows[stop : stop + length]
        stop += length
    return batch
