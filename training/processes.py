"""Commands run beside each other, their lines shown as they come."""

from __future__ import annotations

import dataclasses
import os
import selectors
import subprocess
import tempfile
from collections import deque
from collections.abc import Mapping
from typing import IO

END_S = 10.0
"""A process that is told to end has so long for it."""


class CommandFailedError(Exception):
    """Raised when a command fails: which one, and what it said of it."""


@dataclasses.dataclass
class _Running:
    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    unfinished: bytes = b""
    """What it wrote of a line that is not at its end."""


def run_all(commands: list[list[str]], jobs: int, environment: Mapping[str, str]) -> None:
    """Run commands, some at once; none is left behind, whatever ends this.

    Args:
        commands: Each with its arguments.
        jobs: How many run at once.
        environment: Of each.
    Raises:
        CommandFailedError: One failed; the others are ended.
    """
    waiting = deque(commands)
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or selector.get_map():
                while waiting and len(selector.get_map()) < jobs:
                    running = _start(waiting.popleft(), environment)
                    selector.register(running.process.stdout, selectors.EVENT_READ, running)  # type: ignore[arg-type]
                for key, _ in selector.select():
                    if not _show(key.data):
                        selector.unregister(key.fileobj)
                        _finish(key.data)
        finally:
            _end([key.data for key in selector.get_map().values()])


def _start(command: list[str], environment: Mapping[str, str]) -> _Running:
    errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `_close`
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors)
    return _Running(process, errors)


def _show(running: _Running) -> bool:
    """Print the whole lines that have come; False at the end of all."""
    assert running.process.stdout
    found = os.read(running.process.stdout.fileno(), 65_536)
    *lines, running.unfinished = (running.unfinished + found).split(b"\n")
    for line in lines:
        print(line.decode(errors="replace"), flush=True)
    return bool(found)


def _finish(running: _Running) -> None:
    try:
        if running.process.wait():
            running.errors.seek(0)
            said = running.errors.read().decode(errors="replace")
            command = " ".join(map(str, running.process.args))  # type: ignore[arg-type]
            raise CommandFailedError(f"failed: {command}\n{said}")
    finally:
        _close(running)


def _end(left: list[_Running]) -> None:
    """End what still runs, and wait until it has ended."""
    for running in left:
        running.process.terminate()
    for running in left:
        try:
            running.process.wait(END_S)
        except subprocess.TimeoutExpired:
            running.process.kill()
            running.process.wait()
        _close(running)


def _close(running: _Running) -> None:
    assert running.process.stdout
    running.process.stdout.close()
    running.errors.close()
