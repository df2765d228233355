"""One server of the bundles, over HTTP and gRPC, for all tests that leave it as they found it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.grpc.asking import Client, GrpcServer, serving_grpc


@pytest.fixture(scope="package")
def server() -> Iterator[GrpcServer]:
    with serving_grpc(access_log=True) as server:
        yield server


@pytest.fixture(scope="package")
def client(server: GrpcServer) -> Client:
    return server.client
