"""A request on its way: what waits, runs and is answered together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from service import native

NORMAL_PRIORITY = 2
PATIENCE = dict(enumerate(native.PATIENCE, start=1))
"""By priority (1 is the highest): how many times its own computing time a request may take."""


class Job(native.Job):
    """One request.

    Attributes:
        on_done: Told, on the event loop and once, that there are results or a failure.
        failure: Why there are no results.
    """

    # attributes go into the base's own dictionary: one more of its own, and Python's collector
    # would take a job and a caller that hold each other for reachable, for ever
    __slots__ = ()


class SequenceJob(Job):
    """One request's sequences.

    Args:
        sequences: Each (time_i, *step_shape), all of one type, checked; they are copied.
        on_done: Told, on the event loop and once, that there are results or a failure.
        priority: 1 (high) to 3 (low); others count as the nearest of these.
        timeout_s: As long as its caller waits.
    """

    __slots__ = ()

    def __init__(
        self,
        sequences: Sequence[NDArray[Any]],
        on_done: Callable[[Job], None],
        priority: int = NORMAL_PRIORITY,
        timeout_s: float = math.inf,
    ) -> None:
        super().__init__(sequences, priority, timeout_s)
        self.on_done = on_done  # type: ignore[assignment]  # told of no other job than this
        self.failure: Exception | None = None
