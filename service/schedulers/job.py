"""A request on its way: sequences that wait, run and are answered together."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from service.graphs.model import Result

NORMAL_PRIORITY = 2
PATIENCE = {1: 1.0, NORMAL_PRIORITY: 8.0, 3: 64.0}
"""By priority (1 is the highest): how many times its own computing time a request may take.

A request is due at its arrival plus that, and what is due first runs first. Short requests so
pass long ones that came just before, and since every due time is finite, nothing ever starves.
"""


class Job:
    """One request's sequences.

    Args:
        sequences: Each float32 (time_i, features), checked.
        on_done: Told, on the event loop and once, that there are results or a failure.
        priority: 1 (high) to 3 (low); others count as the nearest of these.
        timeout_s: As long as its caller waits.
    """

    def __init__(
        self,
        sequences: list[NDArray[np.float32]],
        on_done: Callable[[Job], None],
        priority: int = NORMAL_PRIORITY,
        timeout_s: float = math.inf,
    ) -> None:
        self.on_done = on_done
        self.priority = min(max(priority, 1), 3)
        self.submitted_s = time.perf_counter()
        self.deadline_s = self.submitted_s + timeout_s
        self.due_s = self.submitted_s
        self.num_cells = sum(map(len, sequences))
        self.work_s = 0.0  # of computing, as estimated when it was admitted
        self.gone = False
        """Nobody waits for the answer: the caller left, its deadline passed, or a part failed."""
        self.failure: Exception | None = None
        self._results: list[Result | None] = [None] * len(sequences)
        self._unanswered = len(sequences)
        self.sequences = [Sequence(self, row, inputs) for row, inputs in enumerate(sequences)]

    @property
    def results(self) -> list[Result]:
        """In the sequences' order, once all are there.

        Raises:
            Exception: The failure, if there is one.
        """
        if self.failure is not None:
            raise self.failure
        return [result for result in self._results if result is not None]

    def expect(self, work_s: float) -> None:
        """Note how long it should compute, from which follows when it is due."""
        self.work_s = work_s
        self.due_s = self.submitted_s + PATIENCE[self.priority] * work_s

    def answer(self, row: int, result: Result) -> bool:
        """Note one sequence's result; True when it was the last one missing."""
        self._results[row] = result
        self._unanswered -= 1
        return self._unanswered == 0

    def fail(self, error: Exception) -> None:
        """Note why there will be no results."""
        self.failure = error
        self.gone = True


class Sequence:
    """One sequence of a job."""

    __slots__ = ("due", "inputs", "job", "left", "position", "row", "slot")

    def __init__(self, job: Job, row: int, inputs: NDArray[np.float32]) -> None:
        self.job = job
        self.row = row
        self.inputs = inputs  # (time, features)
        self.position = 0  # steps already run, by the `cells` scheduler
        self.left = len(inputs)  # steps still to run
        self.slot = -1  # where its state lies, once it has run there
        self.due = (0.0, 0)  # what runs first: the earlier due, then the earlier come
