"""One server of all that forecasts, and of one model that does not."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.servers import REPOSITORY, Server, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    repository = tmp_path_factory.mktemp("repository")
    for folder in [*REPOSITORY.glob("traffic-*"), REPOSITORY / "digits-lstm"]:
        (repository / folder.name).symlink_to(folder)
    with serving(repository) as server:
        yield server


@pytest.fixture(scope="session")
def client(server: Server) -> httpx.Client:
    return server.client
