"""One request's texts, on their way."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from service.schedulers.decoding.generation import Generation
from service.schedulers.job import Job


class DecodingJob(Job):
    """One request's texts.

    Args:
        generations: One a prompt.
        turns: That each may take.
        on_done: Told, on the event loop and once, that there are results or a failure.
        priority: 1 (high) to 3 (low).
        timeout_s: As long as its caller waits.
    """

    __slots__ = ()

    def __init__(
        self,
        generations: list[Generation],
        turns: list[int],
        on_done: Callable[[Job], None],
        priority: int,
        timeout_s: float,
    ) -> None:
        rows = [it.prompt.num_rows for it in generations]
        super().__init__(turns=turns, rows=rows, priority=priority, timeout_s=timeout_s)
        self.on_done = on_done  # type: ignore[assignment]  # told of no other job than this
        self.failure: Exception | None = None
        self.generations = generations


class Turn(NamedTuple):
    """One text's part of a run."""

    row: int
    job: DecodingJob
    generation: Generation
