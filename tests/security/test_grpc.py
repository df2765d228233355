"""Every gRPC call asks for a key; each message of a stream, too."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2

from tests.fakes import TIMEOUT_S
from tests.grpc.asking import GrpcServer, message, padded
from tests.http.payloads import frames
from tests.security.keyring import Keyring

SERVICE = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
INFER = message("digits-lstm", padded(frames(3)))

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
DENIED = grpc.StatusCode.PERMISSION_DENIED
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


def metadata(keyring: Keyring, name: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {keyring.tokens[name]}")]


def code(server: GrpcServer, method: str, body: bytes, given: list[tuple[str, str]]) -> object:
    call = server.channel.unary_unary(f"/{SERVICE.full_name}/{method}")
    return call.future(body, timeout=TIMEOUT_S, metadata=given).code()


def test_health_is_open(server: GrpcServer) -> None:
    stub = health_pb2_grpc.HealthStub(server.channel)
    assert stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S).status == 1


def test_the_other_header_will_do(server: GrpcServer, keyring: Keyring) -> None:
    given = [("x-api-key", keyring.tokens["asker"])]
    assert server.infer(INFER, metadata=given).model_name == "digits-lstm"


def test_a_rate_is_told_with_the_time_to_wait(server: GrpcServer, keyring: Keyring) -> None:
    keyring.add("slow-caller", scopes=["infer"], requests_per_s=0.01, burst=1)
    given = metadata(keyring, "slow-caller")
    while code(server, "ModelInfer", INFER.SerializeToString(), given) is UNAUTHENTICATED:
        pass  # until the file is read again
    with pytest.raises(grpc.RpcError) as refused:
        server.infer(INFER, metadata=given)
    assert refused.value.code() is EXHAUSTED
    told = dict(refused.value.trailing_metadata())
    assert told["error-code"] == "rate_limited"
    assert 90 <= int(told["retry-after"]) <= 100


def test_a_stream_needs_a_key_and_each_message_counts(server: GrpcServer, keyring: Keyring) -> None:
    keyring.add("streamer", scopes=["infer"], requests_per_s=0.01, burst=2)

    def stream(name: str) -> Iterator[str]:
        given = metadata(keyring, name)
        answers = server.stub.ModelStreamInfer(iter([INFER] * 4), metadata=given, timeout=TIMEOUT_S)
        for answer in answers:
            yield answer.error_message

    with pytest.raises(grpc.RpcError) as refused:
        list(stream("scraper"))
    assert refused.value.code() is DENIED
    said: list[str] = []
    while not said:
        with contextlib.suppress(grpc.RpcError):  # until the file is read again
            said = list(stream("streamer"))
    assert sorted(map(bool, said)) == [False, False, True, True]
    assert {text for text in said if text} == {"key streamer asks more often than it may"}
