"""The runs of graphs that a thread makes, one after the other, and how another thread ends them.

onnxruntime looks between two operators whether a run is to end, in the body of a loop too.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnxruntime

from service.errors import OutOfMemoryError

NO_MEMORY = ("bad_alloc", "bad allocation", "Failed to allocate memory", "Available memory of")
"""What onnxruntime says in various places when there is no more memory to be had."""

FATAL = 4
"""All that onnxruntime may write to the error stream itself: else its lines lie among our JSON."""


class Runs:
    """The runs of one thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._options = onnxruntime.RunOptions()
        self._options.log_severity_level = FATAL
        self._begun = 0
        self._is_running = False
        self.ended_by: Exception | None = None
        """Why another thread ended them, if one did."""

    @property
    def under_way(self) -> int:
        """The number of the run that is being made; 0: there is none."""
        with self._lock:
            return self._begun if self._is_running else 0

    def end(self, reason: Exception, number: int | None = None) -> bool:
        """Have the run that is being made end soon, and no other begin; all raise the reason.

        Args:
            reason: Of it.
            number: Only if this run is being made.

        Returns:
            Whether that was so.
        """
        with self._lock:
            if number is not None and not (self._is_running and self._begun == number):
                return False
            self._options.terminate = True
            self.ended_by = reason
            return True

    def make(self, run: Any, *arguments: Any) -> Any:
        """Make a run: a method of a session that takes options last."""
        with self._lock:
            self._begun += 1
            self._is_running = True
        try:
            return run(*arguments, self._options)
        except Exception as error:
            if self.ended_by is not None:
                raise self.ended_by from error
            raise
        finally:
            with self._lock:
                self._is_running = False


class _Here(threading.local):
    runs: Runs | None = None


_here = _Here()


@contextmanager
def made_here(runs: Runs) -> Iterator[None]:
    """Within, all runs of this thread are among these."""
    before, _here.runs = _here.runs, runs
    try:
        yield
    finally:
        _here.runs = before


def check_not_ended() -> None:
    """Raise the reason if this thread's runs were ended, as what tries a graph may survive that."""
    if _here.runs is not None and _here.runs.ended_by is not None:
        raise _here.runs.ended_by


def run_graph(run: Any, *arguments: Any) -> Any:
    """Run a graph: `run` is a method of its session, its options left out.

    Raises:
        OutOfMemoryError: It needs more memory than there is.
        Exception: onnxruntime's own, of a graph that can't take these; or why it was ended.
    """
    runs = _here.runs
    try:
        return run(*arguments) if runs is None else runs.make(run, *arguments)
    except Exception as error:
        if isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY):
            raise OutOfMemoryError("there is no memory for a run of the model") from error
        raise
