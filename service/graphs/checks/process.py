"""The process beside this one in which graphs are tried with what may end a process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog

from service.graphs.runs import check_not_ended
from service.graphs.spec import Axes, Signature

log = structlog.get_logger(__name__)

PROGRAM = (sys.executable, "-m", "service.graphs.checks.empty")
NAMED = 3  # axes of a set, the others are counted


class TrialProcess:
    """Tries graphs, one at a time, while this process goes on; begun with the first of them.

    Args:
        program: What it runs.
    """

    def __init__(self, program: Sequence[str] = PROGRAM) -> None:
        self._program = program
        self._process: subprocess.Popen[str] | None = None
        self._graph: Path | None = None

    def begin(self, graph: Path, signature: Signature) -> None:
        """Have a graph tried; the one before is given up if nobody asked what was seen.

        Args:
            graph: Its file.
            signature: Without axes of any size, beyond the batch, there is nothing to try.
        """
        if self._graph is not None or (self._process and self._process.poll() is not None):
            self.close()
        if not any(-1 in spec.shape[1:] for spec in signature.inputs if spec.has_rank):
            return
        try:
            if self._process is None:
                self._process = _start(self._program)
            check_not_ended()  # who stops it may have found none
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(str(graph)) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            log.warning("no trials with empty axes", graph=str(graph), reason=str(error))
            self.close()
        else:
            self._graph = graph

    def seen(self) -> frozenset[Axes]:
        """Which axes the graph was seen to take with length 0, all of a set at once.

        What ended the process, or took too long, was not seen.
        """
        if self._graph is None or self._process is None:
            return frozenset()
        found: set[Axes] = set()
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line == "\n":
                break
            if line.endswith("\n"):  # else it ended within the line
                found.add(frozenset((name, axis) for name, axis in json.loads(line)))
        else:
            check_not_ended()
            code = self._process.wait()
            log.info("trials with empty axes ended", graph=str(self._graph), exit_code=code)
            self.close()
        self._graph = None
        return frozenset(found)

    def stop(self) -> None:
        """Have who waits for it go on; by any thread."""
        if (process := self._process) is not None:
            process.kill()

    def close(self) -> None:
        """End it; the next graph begins another."""
        self._graph = None
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _start(program: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        program,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    )


def said_empty(sets: frozenset[Axes]) -> str:
    """What the metadata says of axes that may be empty: those of a set at once."""
    return "; ".join(map(_said, sorted(map(sorted, sets), key=lambda axes: (len(axes), axes))))


def _said(axes: Sequence[tuple[str, int]]) -> str:
    named = " with ".join(f"axis {axis} of {name}" for name, axis in axes[:NAMED])
    return f"{named} and {len(axes) - NAMED} more" if len(axes) > NAMED else named
