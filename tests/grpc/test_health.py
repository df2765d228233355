"""gRPC's own health and reflection services, asked by gRPC's own clients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from tests.fakes import TIMEOUT_S
from tests.grpc.asking import SERVICE, GrpcServer, serving_grpc
from tests.http.made import copy_bundle
from tests.http.test_start_and_stop import gated

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING


def status_of(server: GrpcServer, service: str = "") -> Any:
    return HealthStub(server.channel).Check(HealthCheckRequest(service=service)).status


@pytest.mark.parametrize("service", ["", SERVICE])
def test_the_services_serve(server: GrpcServer, service: str) -> None:
    assert status_of(server, service) == SERVING


def test_another_service_is_unknown(server: GrpcServer) -> None:
    with pytest.raises(grpc.RpcError) as unknown:
        status_of(server, "nosuch")
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND


def test_who_watches_sees_it_come_and_go(tmp_path: Path) -> None:
    folder = copy_bundle("digits-lstm", tmp_path)
    with (
        gated(folder) as storage,
        serving_grpc(tmp_path, ready=False, drain_delay_s=600) as server,
    ):
        watched = HealthStub(server.channel).Watch(HealthCheckRequest(), timeout=TIMEOUT_S)
        assert next(watched).status == NOT_SERVING
        assert status_of(server) == NOT_SERVING
        assert server.client.is_server_live()
        assert not server.client.is_server_ready()
        assert not server.client.is_model_ready("digits-lstm")
        storage.answer()
        assert next(watched).status == SERVING
        assert server.client.is_server_ready()
        server.process.terminate()  # it drains, and serves on
        assert next(watched).status == NOT_SERVING
        assert status_of(server) == NOT_SERVING
        assert not server.client.is_server_ready()
        assert server.client.is_model_ready("digits-lstm")
        server.process.terminate()
        assert server.process.wait() == 0


def test_reflection_tells_of_every_service_and_its_messages(server: GrpcServer) -> None:
    database = ProtoReflectionDescriptorDatabase(server.channel)
    assert set(database.get_services()) == {
        SERVICE,
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    service = DescriptorPool(database).FindServiceByName(SERVICE)
    assert service.methods_by_name["ModelInfer"].input_type.name == "ModelInferRequest"
