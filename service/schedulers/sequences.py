"""A model of sequences: each is scheduled on its own, whatever request it came in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service import native
from service.errors import ServiceError, UnfitTensorsError
from service.graphs.model import Arrays, Model, check_outputs
from service.graphs.runs import check_not_ended
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
        is_checked: Whether all that the graph can't take is refused before it runs: then what
            fails is no fault of the request's.
    """

    def __init__(
        self,
        model: Model,
        bounds: Bounds,
        cost: CostModel,
        metrics: ModelMetrics,
        is_checked: bool = True,
    ) -> None:
        self.model = model
        self._is_checked = is_checked
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
        inputs, lengths, held = self._tensors(run, workspace)
        outputs = self.model.run(inputs, lengths, held)
        check_outputs(spec, outputs, run.num_rows, run.num_steps)
        return (
            [np.ascontiguousarray(outputs[output.name]) for output in spec.outputs],
            [outputs[name] for name in self._state_outputs],
        )

    def _tensors(
        self, run: native.Run, workspace: native.Workspace
    ) -> tuple[NDArray[Any], NDArray[np.int64], Arrays]:
        """The graph's inputs: steps, lengths and state."""
        spec = self.model.spec
        steps, lengths, *state = self.core.tensors(run, workspace)
        inputs = steps.view(spec.dtype).reshape(run.num_rows, run.num_steps, *spec.step_shape)
        return inputs, lengths, dict(zip(self._state_inputs, state, strict=True))

    def compute_apart(
        self, run: native.Run, workspace: native.Workspace, error: Exception
    ) -> tuple[Outputs, dict[int, Exception]]:
        """Run the graph on one row after the other; see the base."""
        check_not_ended()
        outputs = self._no_outputs(run)
        errors: dict[int, Exception] = {}
        if run.num_rows == 1:
            ((_, index),) = run.places
            errors[0] = self._reason(error, index)
            return outputs, errors
        for row, (job, index) in enumerate(run.places):
            if job.gone:  # nobody waits for it any more
                continue
            try:
                self._run_row(run, workspace, row, outputs)
            except Exception as again:  # noqa: BLE001 - of any kind: its neighbours go on
                check_not_ended()
                errors[row] = self._reason(again, index)
        return outputs, errors

    def _no_outputs(self, run: native.Run) -> Outputs:
        """Zeros where a run's outputs and its new state go."""
        rows, spec = run.num_rows, self.model.spec
        return (
            [np.zeros(it.axes(rows, run.num_steps), it.dtype) for it in spec.outputs],
            [np.zeros((rows, *state.shape), np.float32) for state in spec.state],
        )

    def _run_row(
        self, run: native.Run, workspace: native.Workspace, row: int, outputs: Outputs
    ) -> None:
        """Run one row of a run, and put what it gives with the outputs."""
        spec, count = self.model.spec, run.counts[row]
        inputs, lengths, held = self._tensors(run, workspace)
        one = slice(row, row + 1)
        state = {name: values[one] for name, values in held.items()}
        given = self.model.run(np.ascontiguousarray(inputs[one, :count]), lengths[one], state)
        check_outputs(spec, given, 1, count)
        for output, values in zip(spec.outputs, outputs[0], strict=True):
            if output.per_step:
                values[row, : output.rule.num_steps(count)] = given[output.name][0]
            else:
                values[row] = given[output.name][0]
        for name, values in zip(self._state_outputs, outputs[1], strict=True):
            values[row] = given[name][0]

    def _reason(self, error: Exception, index: int) -> Exception:
        """Why a job's sequence of this index has no answer, though it ran alone."""
        if self._is_checked or isinstance(error, ServiceError):
            return error
        return UnfitTensorsError(self.name, error, f"{self.model.spec.inputs}[{index}]")

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
