"""The contestants' servers: one awake at a time, the others stopped where they stand or ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contestants.contestant import Contestant
from benchmarks.contestants.ending import stop
from benchmarks.servers.serving import free_port

START_TIMEOUT_S = 120.0
RESUME_TIMEOUT_S = 10.0
POLL_S = 0.1

Address = tuple[str, int]


class StartError(Exception):
    """A contestant's server does not start, or no longer answers."""


class Fleet:
    """Every server started so far.

    Args:
        repository: The folder of bundles that all serve.
        contestants: All that may be woken; a server is ready when one of its contestants is
            answered, so that a broken one does not take the others of its server with it.
    """

    def __init__(self, repository: Path, contestants: Sequence[Contestant]) -> None:
        self._repository = repository
        self._contestants = contestants
        self._running: dict[str, tuple[subprocess.Popen[bytes], Address, Contestant]] = {}
        self._awake: str | None = None

    def wake(self, contestant: Contestant) -> Address:
        """Have this server, and no other, run.

        Raises:
            StartError: It can't.
        """
        if contestant.server == self._awake and self._process(contestant).poll() is None:
            return self._running[contestant.server][1]
        self.rest()
        if not self._resumes(contestant):
            self._start(contestant)
        self._awake = contestant.server
        return self._running[contestant.server][1]

    def rest(self) -> None:
        """Stop the server that is awake: where it stands if it takes that, else for good."""
        if self._awake is None:
            return
        process, _, contestant = self._running[self._awake]
        if contestant.pausable:
            _signal(process, signal.SIGSTOP)
        else:
            self.end(contestant.server)
        self._awake = None

    def pid(self, contestant: Contestant) -> int:
        """Of its server's first process."""
        return self._process(contestant).pid

    def command(self, contestant: Contestant) -> list[str]:
        """What its server was started with."""
        return [str(word) for word in self._process(contestant).args]  # type: ignore[union-attr]

    def end(self, server: str) -> None:
        """End a server, if it runs, with all that it started."""
        if server in self._running:
            process, _, _ = self._running.pop(server)
            stop(process)
        if self._awake == server:
            self._awake = None

    def close(self) -> None:
        """End them all."""
        for server in list(self._running):
            self.end(server)

    def _process(self, contestant: Contestant) -> subprocess.Popen[bytes]:
        return self._running[contestant.server][0]

    def _resumes(self, contestant: Contestant) -> bool:
        """Whether it was stopped where it stood and now goes on."""
        if contestant.server not in self._running:
            return False
        _signal(self._process(contestant), signal.SIGCONT)
        try:
            self._wait_until_ready(contestant, RESUME_TIMEOUT_S)
        except StartError:  # ended or stuck meanwhile: it gets a second start
            return False
        return True

    def _start(self, contestant: Contestant) -> None:
        if reason := contestant.missing():
            raise StartError(reason)
        port = free_port()
        process = contestant.start(self._repository, port)
        self._running[contestant.server] = (process, ("127.0.0.1", port), contestant)
        self._wait_until_ready(contestant, START_TIMEOUT_S)

    def _wait_until_ready(self, contestant: Contestant, timeout_s: float) -> None:
        process, address, _ = self._running[contestant.server]
        deadline_s = time.monotonic() + timeout_s
        faces = [c for c in self._contestants if c.server == contestant.server]
        while not any(face.is_ready(address) for face in faces):
            ended = process.poll()
            if ended is not None or time.monotonic() > deadline_s:
                self.end(contestant.server)
                what = f"ended with {ended}" if ended is not None else "is not ready"
                raise StartError(f"{contestant.server} {what} within {timeout_s:g} s")
            time.sleep(POLL_S)


def _signal(process: subprocess.Popen[bytes], signal_number: int) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal_number)
