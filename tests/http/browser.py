"""A real browser, Debian's Chromium without a window, told what to do by its debugging pipe."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

PROGRAM = shutil.which("chromium")
WAIT_S = 30.0
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run "
    "--disable-background-networking --disable-component-update --remote-debugging-pipe "
    "--disable-extensions about:blank"
)


class Browser:
    """One tab.

    Args:
        reading: Of its pipe.
        writing: Likewise.
    """

    def __init__(self, reading: IO[bytes], writing: IO[bytes]) -> None:
        self._reading, self._writing = reading, writing
        self._id, self._session, self._rest = 0, "", b""
        self.requested: list[str] = []
        """Every URL that was asked for, data in itself left out."""
        self.complaints: list[str] = []
        """What its console says of errors."""
        (page,) = (
            it for it in self._ask("Target.getTargets")["targetInfos"] if it["type"] == "page"
        )
        told = self._ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = told["sessionId"]
        for domain in ("Network", "Page", "Log", "Runtime"):
            self._ask(f"{domain}.enable")

    def go(self, url: str) -> None:
        """Open a page."""
        self._ask("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """What a script comes to."""
        told = self._ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """What a script comes to, once that is something."""
        deadline_s = time.monotonic() + WAIT_S
        while not (found := self.run(script)):
            assert time.monotonic() < deadline_s, (script, self.run("document.body.innerText"))
            time.sleep(0.02)
        return found

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._id += 1
        message = {"id": self._id, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._writing.write(json.dumps(message).encode() + b"\0")
        self._writing.flush()
        while True:
            told = self._next()
            if told.get("id") == self._id:
                result: dict[str, Any] = told["result"]
                return result
            self._note(told.get("method", ""), told.get("params", {}))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._reading.fileno(), 1 << 16)
            assert part, "the browser ended"
            self._rest += part
        one, _, self._rest = self._rest.partition(b"\0")
        told: dict[str, Any] = json.loads(one)
        return told

    def _note(self, event: str, params: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if not url.startswith("data:"):
                self.requested.append(url)
        elif event == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"]["text"])
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(str(params))


@contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """A browser that has never been anywhere; its files go into this folder."""
    assert PROGRAM is not None
    commands, answers = os.pipe(), os.pipe()
    process = subprocess.Popen(
        [
            "bash",
            "-c",
            f'exec "$0" "$1" {FLAGS} 3<&{commands[0]} 4>&{answers[1]}',
            PROGRAM,
            f"--user-data-dir={folder}",
        ],
        pass_fds=(commands[0], answers[1]),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(commands[0])
    os.close(answers[1])
    try:
        with os.fdopen(answers[0], "rb") as reading, os.fdopen(commands[1], "wb") as writing:
            yield Browser(reading, writing)
    finally:
        process.kill()
        process.wait()
