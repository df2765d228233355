"""One server with keys for all tests that leave it as they found it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.grpc.asking import GrpcServer, serving_grpc
from tests.security.keyring import Keyring


@pytest.fixture(scope="package")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return Keyring(tmp_path_factory.mktemp("keys") / "keys.toml")


@pytest.fixture(scope="package")
def server(keyring: Keyring) -> Iterator[GrpcServer]:
    with serving_grpc(api_keys=keyring.path) as server:
        yield server
