"""Every route and method x every caller x whose page asks: each is decided, and decided so."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from tritonclient.grpc import service_pb2

from service.app import create_app
from service.lane.heads import PATHS
from service.settings import Settings
from tests.fakes import TIMEOUT_S
from tests.grpc.asking import GrpcServer
from tests.http.payloads import frames, infer_body, predict_body
from tests.security.decisions import CALLERS, METHODS, ROUTES, SERVICES, decide, routes_of
from tests.security.keyring import Keyring

SERVICE = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
HOT = {
    "/v2/models/{name}/infer": infer_body(frames(2)),
    "/v2/models/{name}/versions/{version}/infer": infer_body(frames(2)),
    "/v1/models/{name}/predict": predict_body(frames(2)),
}
"""What the lane answers itself, with a body that it takes."""
STATUSES = {"unauthenticated": 401, "forbidden": 403, "cross_site": 403}
CODES = {
    "unauthenticated": grpc.StatusCode.UNAUTHENTICATED,
    "forbidden": grpc.StatusCode.PERMISSION_DENIED,
}


def given_by(keyring: Keyring | None, caller: str | None) -> dict[str, str]:
    """What a caller sends to say who it is."""
    if keyring is None or caller in (None, "nobody"):
        return {}
    return {"authorization": f"Bearer {keyring.tokens.get(str(caller), 'sq_guess')}"}


def ways_to(path: str) -> list[str]:
    """A path without gaps; a hot one as the lane takes it, and as it leaves it to the application.

    What is not hot asks for what is not there, so that nothing changes.
    """
    filled = path.replace("{version}", "1").replace("{region}", "none")
    if path not in HOT:
        return [filled.replace("{name}", "none")]
    return [filled.replace("{name}", "digits-lstm")] * 3 + [
        filled.replace("{name}", "digits-%6Cstm")
    ]


def check(server: GrpcServer, keyring: Keyring | None, caller: str | None) -> None:
    """Ask for everything as one caller, on pages of every kind."""
    client = server.process.client
    pages = [
        ({}, False),
        ({"Origin": server.process.base_url}, False),
        ({"Origin": "https://other.example", "Sec-Fetch-Site": "cross-site"}, True),
    ]
    for route, needed in ROUTES.items():
        method, path = route.split()
        for said, is_foreign in pages:
            wanted = decide(needed, caller, method, is_foreign)
            for way in ways_to(path):
                headers = {**said, **given_by(keyring, caller)}
                body = HOT.get(path, {}) if method == "POST" else None
                answer = client.request(method, way, headers=headers, json=body)
                told = f"{route} for {caller} with {said}: {answer.status_code} {answer.text[:200]}"
                if wanted:
                    assert answer.status_code == STATUSES[wanted], told
                    assert answer.json()["code"] == wanted, told
                else:
                    assert answer.status_code not in (401, 403, 421), told
                    assert path not in HOT or answer.status_code == 200, told


@pytest.mark.parametrize("pages", [True, False])
def test_every_route_is_decided_and_every_decision_is_of_a_route(pages: bool) -> None:
    found = [
        f"{method} {path}" for method, path in routes_of(create_app(Settings(pages=pages)).routes)
    ]
    missing = set() if pages else {"GET /", "GET /docs", "GET /docs/{name}", "GET /openapi.json"}
    assert set(found) == ROUTES.keys() - missing
    assert len(found) == len(set(found))


def test_the_lane_answers_just_what_is_hot() -> None:
    paths = {route.split()[1] for route in ROUTES}
    assert {path for path in paths if PATHS.fullmatch(ways_to(path)[0].encode())} == HOT.keys()


def test_every_method_and_service_is_decided(server: GrpcServer) -> None:
    assert METHODS.keys() == {method.name for method in SERVICE.methods}
    found = ProtoReflectionDescriptorDatabase(server.channel).get_services()
    assert set(found) == SERVICES


@pytest.mark.parametrize("caller", CALLERS)
def test_http_with_keys(server: GrpcServer, keyring: Keyring, caller: str) -> None:
    check(server, keyring, caller)


def test_http_on_a_loopback_address_without_keys(keyless_grpc: GrpcServer) -> None:
    check(keyless_grpc, None, None)


def code_of(server: GrpcServer, method: str, given: dict[str, str]) -> grpc.StatusCode:
    """What a method ends with that is asked with an empty message."""
    about: Any = SERVICE.methods_by_name[method]
    empty = GetMessageClass(about.input_type)().SerializeToString()
    path, metadata = f"/{SERVICE.full_name}/{method}", list(given.items())
    if about.client_streaming:
        call = server.channel.stream_stream(path)(iter(()), timeout=TIMEOUT_S, metadata=metadata)
        return call.code()
    return (
        server.channel.unary_unary(path).future(empty, timeout=TIMEOUT_S, metadata=metadata).code()
    )


@pytest.mark.parametrize("caller", [*CALLERS, None])
def test_grpc(
    server: GrpcServer, keyless_grpc: GrpcServer, keyring: Keyring, caller: str | None
) -> None:
    """No browser speaks it, so there are no pages here."""
    asked, known = (keyless_grpc, None) if caller is None else (server, keyring)
    for method, needed in METHODS.items():
        code = code_of(asked, method, given_by(known, caller))
        if wanted := decide(needed, caller, "GET", is_foreign=False):
            assert code is CODES[wanted], f"{method} for {caller}"
        else:
            assert code not in CODES.values(), f"{method} for {caller}"
