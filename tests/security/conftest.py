"""One server with keys for all tests that leave it as they found it.

What takes long is for `make security`, which sets SEQSERVE_STORM.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.grpc.asking import GrpcServer, serving_grpc
from tests.security.keyring import Keyring
from tests.servers import Server

LONG = ["test_connections.py", "test_memory.py", "test_models.py", "test_tls.py", "test_workers.py"]
collect_ignore = [] if "SEQSERVE_STORM" in os.environ else LONG


@pytest.fixture(scope="package")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return Keyring(tmp_path_factory.mktemp("keys") / "keys.toml")


@pytest.fixture(scope="package")
def server(keyring: Keyring) -> Iterator[GrpcServer]:
    with serving_grpc(api_keys=keyring.path) as server:
        yield server


@pytest.fixture(scope="package")
def keyless_grpc() -> Iterator[GrpcServer]:
    """On a loopback address, without keys."""
    with serving_grpc() as server:
        yield server


@pytest.fixture(scope="package")
def keyless(keyless_grpc: GrpcServer) -> Server:
    return keyless_grpc.process
