"""Every way to get a message wrong: refused as over REST, the culprit named, never INTERNAL."""

from __future__ import annotations

from typing import Any

import grpc
import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tritonclient.grpc.service_pb2 import ModelInferRequest

from tests.grpc.asking import GrpcServer, arrays_of, check_error, message, padded
from tests.grpc.bad import requests
from tests.http.payloads import frames, infer_body, infer_path

INVALID, MODEL = grpc.StatusCode.INVALID_ARGUMENT, "digits-lstm"

FINE = {grpc.StatusCode.OK, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNIMPLEMENTED, INVALID}


def good() -> ModelInferRequest:
    return message(MODEL, padded(frames(3), frames(2)))


def refuse(
    server: GrpcServer, request: ModelInferRequest, status: Any, field: str, *words: str
) -> dict[str, str]:
    """Send a bad request; then a good one."""
    with pytest.raises(grpc.RpcError) as refusal:
        server.infer(request)
    metadata = check_error(refusal.value, status, field, *words)
    assert arrays_of(server.infer(good()))["logits"].shape == (2, 10)
    return metadata


def test_a_model_or_a_version_that_is_not_there(server: GrpcServer) -> None:
    request = good()
    request.model_name = "nosuch"
    metadata = refuse(server, request, grpc.StatusCode.NOT_FOUND, "name", "'nosuch'")
    assert metadata["error-code"] == "model_not_found"
    request = good()
    request.model_version = "9"
    refuse(server, request, grpc.StatusCode.NOT_FOUND, "version", "'9'")


def test_tensors_that_the_model_does_not_take(server: GrpcServer) -> None:
    request = good()
    request.inputs[1].name = "other"
    refuse(server, request, INVALID, "inputs[1].name", "'other'", "inputs, lengths")
    request = good()
    request.inputs[1].CopyFrom(request.inputs[0])
    refuse(server, request, INVALID, "inputs[1].name", "each once")
    request = good()
    request.inputs[0].datatype = "FP64"
    refuse(server, request, INVALID, "inputs[0].datatype", "takes FP32 for inputs")
    request = message(MODEL, {"lengths": np.array([1])})
    refuse(server, request, INVALID, "inputs", "no tensor 'inputs'")
    refuse(server, ModelInferRequest(model_name=MODEL), INVALID, "inputs", "no tensor 'inputs'")


@pytest.mark.parametrize(
    ("shape", "field", "words"),
    [
        ([2, 3, 39], "raw_input_contents[0]", "is 960, FP32 of shape [2, 3, 39] has 936 bytes"),
        ([-2, -3, 40], "inputs[0].shape", "negative axis"),
        ([], "raw_input_contents[0]", "has 4 bytes"),
        ([240], "inputs", "(batch, time, features)"),
        ([2, 3, 40] + [1] * 70, "inputs[0].shape", "too large"),
        ([2**62, 2**62, 40], "raw_input_contents[0]", "bytes"),
        ([3, 2, 40], "lengths", "3 rows"),
    ],
)
def test_a_shape_against_its_bytes(
    server: GrpcServer, shape: list[int], field: str, words: str
) -> None:
    request = good()
    request.inputs[0].shape[:] = shape
    refuse(server, request, INVALID, field, words)


def test_an_empty_tensor_of_impossible_axes(server: GrpcServer) -> None:
    request = good()
    request.inputs[0].shape[:] = [2**62, 2**62, 0]
    request.raw_input_contents[0] = b""
    refuse(server, request, INVALID, "inputs[0].shape", "too large")


def test_raw_contents_for_other_tensors_than_there_are(server: GrpcServer) -> None:
    request = good()
    del request.raw_input_contents[1]
    refuse(server, request, INVALID, "raw_input_contents", "1 tensors, inputs 2")
    request = good()
    request.raw_input_contents.append(b"")
    refuse(server, request, INVALID, "raw_input_contents", "3 tensors, inputs 2")
    request = good()
    request.inputs[1].contents.int64_contents.extend([3, 2])
    refuse(server, request, INVALID, "inputs[1].contents", "both contents and raw_input_contents")


def typed(contents: str, values: list[Any], shape: list[int]) -> ModelInferRequest:
    request = ModelInferRequest(model_name=MODEL)
    tensor = request.inputs.add(name="inputs", shape=shape, datatype="FP32")
    getattr(tensor.contents, contents).extend(values)
    return request


def test_contents_of_another_type_or_number(server: GrpcServer) -> None:
    wrong = typed("fp64_contents", [0.0] * 40, [1, 1, 40])
    refuse(server, wrong, INVALID, "inputs[0].contents", "fp64_contents", "is in fp32_contents")
    short = typed("fp32_contents", [0.0] * 39, [1, 1, 40])
    refuse(server, short, INVALID, "inputs[0].shape", "[39]", "[1, 1, 40]")
    none = typed("fp32_contents", [], [1, 1, 40])
    refuse(server, none, INVALID, "inputs[0].shape", "[0]", "[1, 1, 40]")


@pytest.mark.parametrize("within", ["inputs", "outputs"])
def test_shared_memory_is_refused_by_name(server: GrpcServer, within: str) -> None:
    request = good()
    request.outputs.add(name="logits")
    getattr(request, within)[0].parameters["shared_memory_region"].string_param = "mine"
    field = f"{within}[0].parameters.shared_memory_region"
    refuse(server, request, grpc.StatusCode.UNIMPLEMENTED, field, "shared memory is not supported")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("priority", {"int64_param": -1}),
        ("priority", {"string_param": "high"}),
        ("timeout", {"double_param": 1.5}),
        ("timeout", {"int64_param": -1}),
        ("precision", {"string_param": "int4"}),
    ],
)
def test_a_parameter_of_no_such_value(server: GrpcServer, name: str, value: Any) -> None:
    request = good()
    field, given = next(iter(value.items()))
    setattr(request.parameters[name], field, given)
    refuse(server, request, INVALID, f"parameters.{name}", f"parameters.{name}")


def test_the_words_are_those_of_rest(server: GrpcServer) -> None:
    http = server.process.client
    for change in ("unknown", "width", "nan", "long", "output"):
        inputs = padded(frames(3), frames(2))
        rest: dict[str, Any] = {}
        if change == "unknown":
            inputs = {**inputs, "other": inputs["lengths"]}
        elif change == "width":
            inputs = {"inputs": inputs["inputs"][:, :, :39]}
        elif change == "nan":
            inputs["inputs"][1, 1, 7] = np.inf
        elif change == "long":
            inputs = {**inputs, "lengths": np.array([3, 4])}
        outputs = ["guess"] if change == "output" else []
        rest["outputs"] = [{"name": name} for name in outputs]
        rest["inputs"] = [
            {"name": name, "shape": array.shape, "parameters": {"binary_data_size": array.nbytes}}
            | {"datatype": "FP32" if array.dtype == np.float32 else "INT64"}
            for name, array in inputs.items()
        ]
        response = ask_rest(http, rest, [array.tobytes() for array in inputs.values()])
        with pytest.raises(grpc.RpcError) as refusal:
            server.infer(message(MODEL, inputs, *outputs))
        assert refusal.value.details() == response["error"]
        metadata = check_error(refusal.value, INVALID, response["field"])
        assert metadata["error-code"] == response["code"]


def ask_rest(client: Any, document: dict[str, Any], blobs: list[bytes]) -> dict[str, Any]:
    text = msgspec.json.encode(document)
    headers = {"Inference-Header-Content-Length": str(len(text))}
    response = client.post(infer_path(MODEL), content=b"".join([text, *blobs]), headers=headers)
    assert response.status_code in (400, 422)
    body: dict[str, Any] = response.json()
    return body


def test_a_message_over_the_limit(server: GrpcServer) -> None:
    values = np.zeros((1, 110_000, 40), np.float32)
    with pytest.raises(grpc.RpcError) as refusal:
        server.infer(message(MODEL, {"inputs": values}))
    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(grpc.RpcError) as refusal:  # what it would be is told from what it is
        server.infer(message(MODEL, {"inputs": values}), compression=grpc.Compression.Gzip)
    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("name", ["x" * 100_000, "ü" * 100_000, "\n\0é"])
def test_an_error_that_quotes_the_caller_fits_a_header(server: GrpcServer, name: str) -> None:
    request = good()
    request.model_name = name
    refuse(server, request, grpc.StatusCode.NOT_FOUND, "name", "there is no model")


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(request=requests())
def test_whatever_a_message_says_it_is_answered_or_the_callers_fault(
    server: GrpcServer, request: ModelInferRequest
) -> None:
    assert server.status("ModelInfer", request.SerializeToString()) in FINE


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_bytes_come_they_are_answered_or_the_callers_fault(
    server: GrpcServer, data: st.DataObject
) -> None:
    whole = bytearray(good().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, 60))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([len(whole), len(whole), 40, 17, 1]))
    assert server.status("ModelInfer", bytes(whole[:cut])) in FINE


def test_rest_still_answers_after_all_that(server: GrpcServer) -> None:
    response = server.process.client.post(infer_path(MODEL), json=infer_body(frames(3)))
    assert response.status_code == 200
