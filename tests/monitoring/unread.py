"""Servers whose log is a pipe that nobody reads."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.servers import CHECKOUT, START_S, STOP_S, wait_until

MALFORMED = b"no HTTP at all\r\n\r\n"
LISTENS = re.compile(rb"Uvicorn running on http://[^:]+:(\d+)")


class Unread:
    """A server whose log is read to the line that says where it listens, and no further."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        self.process, self._pipe = process, process.stderr.fileno()
        self.log = b""
        while not (found := LISTENS.search(self.log)):
            self.read()
        self.port = int(found[1])
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.base_url, timeout=START_S)
        wait_until(lambda: self.client.get("/v2/health/ready").status_code == 200)

    def read(self) -> bool:
        got = os.read(self._pipe, 1 << 16)
        self.log += got
        return bool(got)

    def send(self, count: int, data: bytes = MALFORMED, status: int = 400) -> None:
        for _ in range(count):
            with socket.create_connection(("127.0.0.1", self.port), timeout=START_S) as connection:
                connection.sendall(data)
                assert connection.recv(1 << 16).startswith(b"HTTP/1.1 %d" % status)

    def dropped(self) -> dict[str, float]:
        text = self.client.get("/metrics").text
        found = re.findall(r'seqserve_log_lines_dropped_total\{reason="(\w+)"\} (\S+)', text)
        return {reason: float(count) for reason, count in found}

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.splitlines() if line.startswith(b"{")]


@contextmanager
def unread(repository: Path, **settings: object) -> Iterator[Unread]:
    given = {"port": 0, "repository": repository, **settings}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "service"],
        cwd=CHECKOUT,
        env={**os.environ, **{f"SEQSERVE_{name.upper()}": str(it) for name, it in given.items()}},
        stderr=subprocess.PIPE,
    )
    try:
        server = Unread(process)
        yield server
        server.client.close()
    finally:
        process.kill()
        process.wait(STOP_S)
        assert process.stderr is not None
        process.stderr.close()
