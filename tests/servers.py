"""Real servers for tests: `python -m service` in a process of its own, on a free port."""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import httpx

from tests.preloaded import Forked, preloaded

CHECKOUT = Path(__file__).parent.parent
REPOSITORY = CHECKOUT / "repository"
START_S = STOP_S = 30.0
BOUND_BY_PERMISSIONS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""Runs a program that permissions bind though root starts it: what has mode 000 is closed."""
LISTENS = re.compile(r"Uvicorn running on (https?://\S+)")


def bundles_folder() -> Path:
    """The repository that tests serve: the committed digits, or others of the same seven names.

    The other bundles have tests of their own; a server of all takes longer to start.
    """
    if other := os.environ.get("SEQSERVE_TEST_REPOSITORY"):
        return CHECKOUT / other
    return _digits()


@cache
def _digits() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="seqserve-digits-"))
    atexit.register(shutil.rmtree, folder)
    for model in sorted(REPOSITORY.glob("digits-*")):
        (folder / model.name).symlink_to(model)
    return folder


class Server:
    """A running server; its log is read as it comes.

    Args:
        process: Started with its standard error piped.
    """

    def __init__(self, process: subprocess.Popen[str] | Forked) -> None:
        self.process = process
        self._lines: list[str] = []
        self._ended = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @cached_property
    def base_url(self) -> str:
        """Where it listens, once it does."""
        found = LISTENS.search(self.wait_for_line(LISTENS.search))
        assert found is not None
        return found[1]

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self._lines.append(line)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def wait_for_line(self, wanted: Callable[[str], object], timeout_s: float = START_S) -> str:
        """The first line of the log that is wanted; fails if the server ends before it comes."""
        with self._news:
            done = self._news.wait_for(
                lambda: self._ended or any(map(wanted, self._lines)), timeout_s
            )
            found = next(filter(wanted, self._lines), None)
            assert found is not None, (
                f"{'the server ended' if done else f'{timeout_s:g} s passed'} without that line "
                f"in its log:\n{''.join(self._lines)}"
            )
            return found

    def wait_for_event(self, event: str, **fields: object) -> dict[str, Any]:
        """The first log line of this event with these fields."""

        def wanted(line: str) -> bool:
            if not line.startswith("{"):
                return False
            entry = json.loads(line)
            return bool(entry.items() >= {"event": event, **fields}.items())

        found: dict[str, Any] = json.loads(self.wait_for_line(wanted))
        return found

    @cached_property
    def client(self) -> httpx.Client:
        """Asks it; for any number of threads at a time."""
        return httpx.Client(base_url=self.base_url, timeout=START_S)

    def wait_ready(self, timeout_s: float = START_S) -> None:
        """Return when readiness says 200."""
        wait_until(lambda: self.client.get("/v2/health/ready").status_code == 200, timeout_s)

    @property
    def log(self) -> str:
        """What it has logged so far."""
        with self._news:
            return "".join(self._lines)

    def terminate(self) -> None:
        """Ask it to end."""
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Have it end, and hold it to ending well."""
        if self.process.poll() is None:
            if "client" in self.__dict__:
                self.client.close()  # or the server would wait for what it may ask
            self.terminate()
        assert self.wait() == 0, self.log

    def wait(self) -> int:
        """Its exit code, when it has ended."""
        code = self.process.wait(STOP_S)
        self._reader.join(STOP_S)
        return code

    def kill(self) -> None:
        """End it whatever it does, and let go of its pipe and connections."""
        if "client" in self.__dict__:
            self.client.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_S)
        self._reader.join(STOP_S)
        if self.process.stderr is not None:
            self.process.stderr.close()


@contextmanager
def serving(
    repository: Path | str | None = None,
    *,
    ready: bool = True,
    failures_expected: bool = False,
    python: str = sys.executable,
    cwd: Path = CHECKOUT,
    prefix: Sequence[str] = (),
    forked: bool = True,
    **settings: object,
) -> Iterator[Server]:
    """A server on a free port, ended by SIGTERM; it must exit with 0 and without a stack trace.

    Args:
        repository: Its bundles: a folder or a URL.
        ready: Wait until it is.
        failures_expected: Stack traces may be in its log.
        python: The interpreter that runs it.
        cwd: Where `python -m service` is called.
        prefix: Of the command: a program that runs it in another way.
        forked: From a process that has imported what serves. False where memory is measured, which
            a fork shares page by page.
        settings: As in `service.settings`.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SEQSERVE_")}
    options = {"port": 0, "repository": repository or bundles_folder(), **settings}
    environment |= {f"SEQSERVE_{name.upper()}": str(value) for name, value in options.items()}
    process: subprocess.Popen[str] | Forked
    as_usual = (python, cwd, prefix) == (sys.executable, CHECKOUT, ())
    if forked and as_usual and not {"workers", "LD_PRELOAD"} & {*settings, *environment}:
        process = preloaded(CHECKOUT).start(environment)
    else:  # also a supervisor, which imports nothing of what serves, and what is loaded before all
        process = subprocess.Popen(
            [*prefix, python, "-W", "error", "-m", "service"],
            cwd=cwd,
            env=environment,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
    server = Server(process)
    try:
        if ready:
            server.wait_ready()
        yield server
        server.stop()
        assert failures_expected or "Traceback" not in server.log, server.log
    finally:
        server.kill()


def wait_until(condition: Callable[[], object], timeout_s: float = START_S) -> None:
    """Return when the condition holds; fails if it does not in time."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {timeout_s:g} s"
        time.sleep(0.01)
