"""One server for all tests that leave it as they found it; the others start their own."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.http.alone import Alone
from tests.http.payloads import FAMILIES
from tests.servers import Server, bundles_folder, serving


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with serving(access_log=True) as server:
        yield server


@pytest.fixture(scope="session")
def client(server: Server) -> httpx.Client:
    return server.client


@pytest.fixture(scope="session")
def alone() -> dict[str, Alone]:
    """Every bundle's graph in onnxruntime, by the model's name."""
    return {name: Alone(bundles_folder() / name / "1") for name in FAMILIES}
