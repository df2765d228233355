"""End a contestant's server with all that it started."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

STOP_TIMEOUT_S = 15.0
POLL_S = 0.05


class Process(NamedTuple):
    """An entry of the process table; `pid` and `started` together are no other process's."""

    pid: int
    started: int
    parent: int
    session: int


def stop(server: subprocess.Popen[bytes], timeout_s: float = STOP_TIMEOUT_S) -> None:
    """SIGTERM to its process group, SIGKILL to all that is left after `timeout_s`.

    What left the group, as Ray's processes do, is followed too: nothing outlives this.
    """
    members = _started_by(server.pid)
    _signal_group(server.pid, signal.SIGTERM)
    _signal_group(server.pid, signal.SIGCONT)
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s and (server.poll() is None or _alive(members)):
        time.sleep(POLL_S)
    _signal_group(server.pid, signal.SIGKILL)
    for process in _alive(members):
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    server.wait()


def _signal_group(leader: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, number)


def _processes() -> list[Process]:
    """All that run; zombies do not."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if fields[0] != "Z":
                state_on = [int(fields[index]) for index in (19, 1, 3)]
                found.append(Process(int(folder.name), *state_on))
    return found


def _started_by(leader: int) -> list[Process]:
    """The session that `leader` leads, and every descendant of its processes."""
    processes = _processes()
    found = {process for process in processes if process.session == leader}
    while (
        more := {
            process for process in processes if process.parent in {known.pid for known in found}
        }
        - found
    ):
        found |= more
    return list(found)


def _alive(members: list[Process]) -> list[Process]:
    running = {(process.pid, process.started) for process in _processes()}
    return [member for member in members if (member.pid, member.started) in running]
