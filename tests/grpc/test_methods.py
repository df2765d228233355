"""Every method of Triton's own clients: answered as over REST, or refused with a reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from tests.grpc.asking import SERVICE, Client, GrpcServer, check_error, padded, triton_inputs
from tests.http.payloads import FAMILIES, frames
from tests.servers import CHECKOUT

MODEL = "digits-attention"
INPUTS = padded(frames(5), frames(2))

ANSWERED: dict[str, Callable[[Client], Any]] = {
    "is_server_live": lambda client: client.is_server_live(),
    "is_server_ready": lambda client: client.is_server_ready(),
    "is_model_ready": lambda client: client.is_model_ready(MODEL),
    "get_server_metadata": lambda client: client.get_server_metadata(as_json=True),
    "get_model_metadata": lambda client: client.get_model_metadata(MODEL, "1", as_json=True),
    "get_model_repository_index": lambda client: client.get_model_repository_index(as_json=True),
    "infer": lambda client: client.infer(MODEL, triton_inputs(INPUTS)),
}
STREAMED = {"start_stream", "stop_stream", "async_stream_infer", "async_infer", "stream_infer"}
"""Answered too: in `test_stream.py` and `test_infer.py`."""
CONTROL = {"load_model", "unload_model"}
"""Answered too: in `test_control.py`."""

ANSWERED |= {
    "get_model_config": lambda client: client.get_model_config(MODEL, as_json=True),
    "get_inference_statistics": lambda client: client.get_inference_statistics("digits-gru"),
    "get_log_settings": lambda client: client.get_log_settings(as_json=True),
    "update_log_settings": lambda client: client.update_log_settings({"log_info": True}),
    "get_trace_settings": lambda client: client.get_trace_settings(as_json=True),
    "update_trace_settings": lambda client: client.update_trace_settings(MODEL, {}),
}

REFUSED: dict[str, Callable[[Client], Any]] = {
    "get_system_shared_memory_status": lambda client: client.get_system_shared_memory_status(),
    "register_system_shared_memory": lambda client: client.register_system_shared_memory(
        "name", "/key", 8
    ),
    "unregister_system_shared_memory": lambda client: client.unregister_system_shared_memory(),
    "get_cuda_shared_memory_status": lambda client: client.get_cuda_shared_memory_status(),
    "register_cuda_shared_memory": lambda client: client.register_cuda_shared_memory(
        "name", b"AAAA", 0, 8
    ),
    "unregister_cuda_shared_memory": lambda client: client.unregister_cuda_shared_memory(),
}
METHODS = [
    method.name
    for method in service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods
    if not method.client_streaming
]
OWN = {"close", "plugin", "register_plugin", "unregister_plugin"}
"""Of the client itself: they ask nothing."""


@pytest.mark.parametrize(
    "kind", [triton.InferenceServerClient, triton_aio.InferenceServerClient], ids=["sync", "aio"]
)
def test_no_method_of_the_client_is_forgotten(kind: type) -> None:
    public = {name for name in dir(kind) if not name.startswith("_")}
    assert public <= ANSWERED.keys() | REFUSED.keys() | STREAMED | CONTROL | OWN


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_there_is_refused_by_name(client: Client, name: str) -> None:
    with pytest.raises(InferenceServerException) as refusal:
        REFUSED[name](client)
    assert refusal.value.status() == "StatusCode.UNIMPLEMENTED"
    assert "memory is not shared with clients" in refusal.value.message()


def test_both_clients_are_answered_alike(server: GrpcServer) -> None:
    async def ask_all() -> dict[str, Any]:
        async with triton_aio.InferenceServerClient(server.address) as client:
            answers = {name: await ask(client) for name, ask in ANSWERED.items()}
            for name, ask in REFUSED.items():
                with pytest.raises(InferenceServerException, match="UNIMPLEMENTED"):
                    await ask(client)
                assert name not in answers
            return answers

    answers = asyncio.run(ask_all())
    for name, ask in ANSWERED.items():
        answer, again = answers[name], ask(server.client)
        if name == "infer":
            answer, again = answer.get_response(), again.get_response()
        assert answer == again, name


OF_A_MODEL = {
    "ModelConfig", "ModelInfer", "ModelMetadata", "RepositoryModelLoad", "RepositoryModelUnload",
}  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_every_method_of_the_service_answers_or_says_why_not(
    server: GrpcServer, method: str
) -> None:
    stub = server.channel.unary_unary(f"/{SERVICE}/{method}")
    done = stub.future(b"")
    expected = {grpc.StatusCode.OK, grpc.StatusCode.UNIMPLEMENTED}
    if method in OF_A_MODEL:  # that has no name
        expected = {grpc.StatusCode.NOT_FOUND}
    assert done.code() in expected
    if done.code() is not grpc.StatusCode.OK:
        assert "error-code" in dict(done.trailing_metadata())


def test_a_method_that_triton_has_not_either(server: GrpcServer) -> None:
    with pytest.raises(grpc.RpcError) as unknown:
        server.send("Guess", b"")
    assert unknown.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_what_is_not_there_is_documented(client: Client) -> None:
    text = (CHECKOUT / "docs" / "grpc.md").read_text()
    assert "SharedMemory" in text


def test_health_is_what_http_says(server: GrpcServer) -> None:
    client = server.client
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert client.is_model_ready(MODEL, "1")
    assert not client.is_model_ready(MODEL, "9")
    assert not client.is_model_ready("nosuch")


def test_metadata_are_those_of_http(server: GrpcServer) -> None:
    http = server.process.client
    assert server.client.get_server_metadata(as_json=True) == http.get("/v2").json()
    for model in FAMILIES:
        found = server.client.get_model_metadata(model, as_json=True)
        for tensor in (*found["inputs"], *found["outputs"]):
            tensor["shape"] = [int(axis) for axis in tensor["shape"]]  # JSON's long integers
        assert found == http.get(f"/v2/models/{model}").json()


def test_the_index_is_that_of_http(server: GrpcServer) -> None:
    wanted = server.process.client.post("/v2/repository/index").json()
    for only_ready in (False, True):
        request = service_pb2.RepositoryIndexRequest(ready=only_ready)
        found = server.stub.RepositoryIndex(request).models
        assert [
            {"name": m.name, "version": m.version, "state": m.state, "reason": m.reason}
            for m in found
        ] == wanted


def test_metadata_of_what_is_not_there(server: GrpcServer) -> None:
    for name, version, field in (("nosuch", "", "name"), (MODEL, "9", "version")):
        with pytest.raises(grpc.RpcError) as refusal:
            server.stub.ModelMetadata(service_pb2.ModelMetadataRequest(name=name, version=version))
        check_error(refusal.value, grpc.StatusCode.NOT_FOUND, field, name)


@pytest.mark.parametrize("method", ["ModelInfer", "ModelMetadata", "RepositoryIndex"])
def test_bytes_that_are_no_message_are_the_callers_fault(server: GrpcServer, method: str) -> None:
    with pytest.raises(grpc.RpcError) as refusal:
        server.send(method, b"\x0a\xff\xff")
    check_error(refusal.value, grpc.StatusCode.INVALID_ARGUMENT, "", f"no {method}Request")


@pytest.mark.parametrize("given", ["mine-42", "", "has space", "ü"])
def test_the_callers_request_id_is_used_and_returned(server: GrpcServer, given: str) -> None:
    call = server.channel.unary_unary(f"/{SERVICE}/ServerLive")
    metadata = [("x-request-id", given)] if given.isascii() else []
    _, done = call.with_call(b"", metadata=metadata)
    returned = dict(done.trailing_metadata())["x-request-id"]
    if given == "mine-42":
        assert returned == given
        logged = server.process.wait_for_event("request", request_id=given)
        assert (logged["path"], logged["status"]) == (f"/{SERVICE}/ServerLive", "OK")
    else:
        assert len(returned) == 32
