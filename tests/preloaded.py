"""Starts servers from a process that has imported what serves: an import costs a second of CPU.

    python -W error -m tests.preloaded SOCKET

It forks for each start that it is asked for. The server then runs `python -m service` to its end,
as a child of the process that asked: who tests can wait for it, signal it and read its log.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TextIO

PR_SET_CHILD_SUBREAPER = 36


class Forked:
    """A child that nobody has waited for, used as a `subprocess.Popen`.

    Args:
        pid: Its process id.
        stderr: The end of its standard error that is read.
    """

    def __init__(self, pid: int, stderr: TextIO) -> None:
        self.pid = pid
        self.stderr: TextIO | None = stderr
        self.returncode: int | None = None
        self._lock = threading.Lock()
        self._handle = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""
        with self._lock:
            if self.returncode is None and self._wait(0):
                self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
                os.close(self._handle)
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; raises `subprocess.TimeoutExpired` if it does not end in time."""
        if self.returncode is None:
            self._wait(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("python -m service", timeout or 0.0)
        return code

    def _wait(self, timeout_s: float | None) -> bool:
        poller = select.poll()
        poller.register(self._handle, select.POLLIN)
        return bool(poller.poll(None if timeout_s is None else timeout_s * 1000))

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


class Preloaded:
    """A process that forks servers.

    Args:
        folder: Where it and its servers are called.
    """

    def __init__(self, folder: Path) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket, self._lock = ours, threading.Lock()
        self._libc = ctypes.CDLL(None)
        with theirs:
            command = [sys.executable, "-W", "error", "-m", "tests.preloaded", str(theirs.fileno())]
            environment = {k: v for k, v in os.environ.items() if not k.startswith("SEQSERVE_")}
            self._process = subprocess.Popen(
                command, cwd=folder, env=environment, pass_fds=[theirs.fileno()]
            )
        atexit.register(self._end)

    def _end(self) -> None:
        self._socket.close()
        self._process.wait()

    def start(self, environment: Mapping[str, str]) -> Forked:
        """Fork a server with this environment."""
        reading, writing = os.pipe()
        with self._lock:
            # it takes a child whose parent has ended; so this process becomes the server's parent
            self._libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            socket.send_fds(self._socket, [json.dumps(dict(environment)).encode()], [writing])
            os.close(writing)
            answer = self._socket.recv(100)
            self._libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        assert answer, "the process that forks servers has ended"
        return Forked(int(answer), os.fdopen(reading, encoding="utf-8"))


@cache
def preloaded(folder: Path) -> Preloaded:
    """The one of this process and folder."""
    return Preloaded(folder)


def serve_forks(asked: socket.socket) -> None:
    """Fork whenever asked; returns in each child, and exits where the asking one has ended."""
    while True:
        message, (*files,), _, _ = socket.recv_fds(asked, 1 << 20, 1)
        if not message:
            sys.exit()
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            if server := os.fork():
                os.write(writing, str(server).encode())
                os._exit(0)
            os.dup2(files[0], 2)
            for handle in (files[0], reading, writing):
                os.close(handle)
            os.environ.clear()
            os.environ.update(json.loads(message))
            return
        os.waitpid(child, 0)  # only then is the server whose it shall be
        asked.send(os.read(reading, 100))
        for handle in (files[0], reading, writing):
            os.close(handle)


if __name__ == "__main__":
    import service.__main__
    import service.serving  # noqa: F401

    with socket.socket(fileno=int(sys.argv[1])) as asked:
        serve_forks(asked)
    sys.argv = ["service"]
    del sys.modules["service.__main__"]
    runpy.run_module("service", run_name="__main__", alter_sys=True)
