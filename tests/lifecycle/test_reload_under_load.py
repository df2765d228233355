"""Whatever is reloaded while clients ask, every request is answered, and nothing is left behind."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.lifecycle.asking import Asking, check_answer, write_versions
from tests.servers import Server, serving

RELOADS, WARM_UP = 200, 20
CLIENTS = 4


class Clients:
    """They ask on and on, each on its own connection, for lengths of which some come again."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._enough = threading.Event()
        self.answered: dict[str, int] = {}

    def _ask(self, index: int) -> None:
        asking = Asking(self._server)
        with httpx.Client(base_url=self._server.base_url, timeout=30.0) as client:
            asking.client = client
            turn = 0
            while not self._enough.is_set():
                length = 1 + (turn * (index + 1)) % 40
                version = check_answer(asking.infer(length=length), length)
                self.answered[version] = self.answered.get(version, 0) + 1
                turn += 1

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask until the block ends; fails if any answer was not right."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(self._ask, index) for index in range(CLIENTS)]
            try:
                yield
            finally:
                self._enough.set()
            for client in clients:
                client.result()


def resident_bytes(server: Server) -> int:
    """Memory of the server's process."""
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.deep
def test_two_hundred_reloads_fail_no_request_and_leave_no_memory(tmp_path: Path) -> None:
    write_versions(tmp_path, 1, 2)
    with serving(tmp_path, calibration_ms=1, forked=False) as server:
        asking, clients = Asking(server), Clients(server)
        resident = []
        with clients.asking():
            for turn in range(RELOADS):
                version = 1 + turn % 2
                response = asking.load({"versions": {"specific": [version]}})
                assert (response.status_code, response.content) == (200, b"")
                assert asking.states() == {str(version): "READY", str(3 - version): "UNAVAILABLE"}
                resident.append(resident_bytes(server))
    assert clients.answered.keys() == {"1", "2"}
    assert min(clients.answered.values()) > RELOADS
    assert resident[-1] <= 1.05 * resident[WARM_UP]
