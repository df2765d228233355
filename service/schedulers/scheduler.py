"""A model with what chooses its batches: what every kind of scheduler has.

What runs next is chosen in `native/schedule/`, and run from here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from service import native
from service.schedulers.bounds import Bounds
from service.schedulers.cost import CostModel
from service.schedulers.job import Job
from service.telemetry.parts.model import ModelMetrics

Outputs = tuple[Sequence[NDArray[Any]], Sequence[NDArray[Any]]]
"""What a run gave: the outputs that are told apart natively, and the new state."""


class Scheduler(ABC):
    """Chooses a model's batches, and runs them.

    Args:
        core: What chooses.
        bounds: How much at a time.
        cost: What a run takes.
        metrics: This model's.
    """

    is_batchable = True
    """Whether requests may run together."""

    def __init__(
        self, core: native.Scheduler, bounds: Bounds, cost: CostModel, metrics: ModelMetrics
    ) -> None:
        self.core = core
        self.bounds = bounds
        self.cost = cost
        self.metrics = metrics
        self.name, self.version = metrics.name, metrics.version
        self.stages = metrics.tally.stages

    @property
    def is_quarantined(self) -> bool:
        """Whether it gets nothing to run for now, since a run of it hung."""
        return self.core.quarantine_left_s > 0

    @abstractmethod
    def make_job(
        self, asked: Any, on_done: Callable[[Job], None], priority: int, timeout_s: float
    ) -> Job:
        """One request's job; `asked` is of the scheduler's own kind."""

    @abstractmethod
    def compute(self, run: native.Run, workspace: native.Workspace) -> Outputs:
        """Make a run whose tensors lie in the workspace.

        Raises:
            Exception: The graph failed, or its outputs have other shapes than they should.
        """

    def compute_apart(
        self, run: native.Run, workspace: native.Workspace, error: Exception
    ) -> tuple[Outputs, dict[int, Exception]]:
        """Make a run that failed anew, each row alone, so that none fails for another.

        Args:
            run: Whose tensors lie in the workspace as they did: the state before it, too.
            workspace: Of this thread.
            error: That it failed with.

        Returns:
            The outputs, and why which rows have none.

        Raises:
            Exception: All of them failed, without being run again; what `compute` has run apart
                itself fails whole.
        """
        raise error

    def note_answered(self, job: native.Job, begun_s: float, answered_s: float) -> None:
        """Count what each stage of an answered request took, on the event loop.

        Args:
            job: The request's.
            begun_s: When its head was read.
            answered_s: When its answer was made.
        """
        rows = self.num_rows(job)
        self.stages.observe(begun_s, job.submitted_s, job.ran_s, job.done_s, answered_s, rows)

    @abstractmethod
    def num_rows(self, job: native.Job) -> int:
        """How many a job brought: the batch, in the protocol's words."""

    @abstractmethod
    def results(self, job: native.Job) -> Any:
        """What was answered to a whole job: outputs by name, axis 0 the batch; or texts."""
