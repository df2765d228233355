"""One server for all tests that leave it as they found it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.protocol.made import write_repository
from tests.servers import Server, serving

MAX_BODY_BYTES = 1 << 20


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("protocol")
    write_repository(folder)
    return folder


@pytest.fixture(scope="session")
def server(repository: Path) -> Iterator[Server]:
    with serving(repository, max_body_bytes=MAX_BODY_BYTES) as server:
        yield server


@pytest.fixture(scope="session")
def client(server: Server) -> httpx.Client:
    return server.client
