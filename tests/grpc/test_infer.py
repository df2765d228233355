"""Right answers over gRPC: those of REST, whatever way the tensors came."""

from __future__ import annotations

import asyncio
import queue
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc.aio as triton_aio
from numpy.typing import NDArray
from onnx import TensorProto
from tritonclient.grpc.service_pb2 import ModelInferRequest

from tests.any_onnx.made import identity, write
from tests.fakes import TIMEOUT_S
from tests.grpc.asking import (
    GrpcServer,
    arrays_of,
    fields_of,
    message,
    padded,
    serving_grpc,
    triton_inputs,
)
from tests.http.payloads import EXPLAINING, FAMILIES, frames, infer_body, infer_path, rows_of
from tests.http.scrape import Scrape
from tests.servers import CHECKOUT, STOP_S

TYPED: dict[str, tuple[int, str, Any]] = {
    "BOOL": (TensorProto.BOOL, "bool_contents", [True, False, True]),
    "INT8": (TensorProto.INT8, "int_contents", [-128, 0, 127]),
    "INT16": (TensorProto.INT16, "int_contents", [-(2**15), 0, 2**15 - 1]),
    "INT32": (TensorProto.INT32, "int_contents", [-(2**31), 0, 2**31 - 1]),
    "INT64": (TensorProto.INT64, "int64_contents", [-(2**63), 0, 2**63 - 1]),
    "UINT8": (TensorProto.UINT8, "uint_contents", [0, 1, 255]),
    "UINT16": (TensorProto.UINT16, "uint_contents", [0, 1, 2**16 - 1]),
    "UINT32": (TensorProto.UINT32, "uint_contents", [0, 1, 2**32 - 1]),
    "UINT64": (TensorProto.UINT64, "uint64_contents", [0, 1, 2**64 - 1]),
    "FP32": (TensorProto.FLOAT, "fp32_contents", [1.5, -0.0, 3e38]),
    "FP64": (TensorProto.DOUBLE, "fp64_contents", [1.5, -0.0, 1e300]),
    "BYTES": (TensorProto.STRING, "bytes_contents", [b"", "ü\0".encode(), b"x" * 300]),
}
RAW_ONLY = {"FP16": TensorProto.FLOAT16, "BF16": TensorProto.BFLOAT16}
"""Each datatype as ONNX names it; with contents, where they are and some values."""


@pytest.fixture(scope="module")
def any_types(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GrpcServer]:
    """Models that answer what they are asked, one a datatype; all is done in threads."""
    folder = tmp_path_factory.mktemp("types")
    kinds = {name: kind for name, (kind, _, _) in TYPED.items()} | RAW_ONLY
    for name, kind in kinds.items():
        write(folder, name.lower(), identity(kind))
    with serving_grpc(folder, inline_body_bytes=0) as server:
        yield server


@pytest.mark.parametrize("model", FAMILIES)
def test_the_answers_are_those_of_rest(server: GrpcServer, model: str) -> None:
    sequences = [frames(4), frames(90), frames(17)]
    response = server.infer(message(model, padded(*sequences), id="one"))
    body = infer_body(*sequences, id="one")
    wanted = server.process.client.post(infer_path(model), json=body).json()
    assert response.id == wanted["id"]
    assert (response.model_name, response.model_version) == (model, "1")
    found = arrays_of(response)
    assert list(found) == [output["name"] for output in wanted["outputs"]]
    assert len(found) == 1 + (model in EXPLAINING)
    for described, output in zip(response.outputs, wanted["outputs"], strict=True):
        assert described.datatype == output["datatype"]
        assert list(described.shape) == output["shape"]
        np.testing.assert_allclose(found[output["name"]], rows_of(output), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", TYPED)
def test_contents_of_every_type_are_read_as_raw_ones_are(any_types: GrpcServer, name: str) -> None:
    _, contents, values = TYPED[name]
    typed = ModelInferRequest(model_name=name.lower())
    tensor = typed.inputs.add(name="x", shape=[1, 3], datatype=name)
    getattr(tensor.contents, contents).extend(values)
    response = any_types.infer(typed)
    found = arrays_of(response)["y"]
    assert response.outputs[0].datatype == name
    assert found.shape == (1, 3)
    assert found.ravel().tolist() == np.array(values, found.dtype).tolist()

    raw = ModelInferRequest(model_name=name.lower())
    raw.inputs.add(name="x", shape=[1, 3], datatype=name)
    raw.raw_input_contents.append(response.raw_output_contents[0])
    assert any_types.infer(raw) == response


@pytest.mark.parametrize("name", RAW_ONLY)
def test_half_floats_come_and_go_raw(any_types: GrpcServer, name: str) -> None:
    bits = np.array([[0x3F80, 0x8000, 0x4049]], np.uint16)
    request = ModelInferRequest(model_name=name.lower())
    request.inputs.add(name="x", shape=bits.shape, datatype=name)
    request.raw_input_contents.append(bits.tobytes())
    response = any_types.infer(request)
    assert response.outputs[0].datatype == name
    assert response.raw_output_contents[0] == bits.tobytes()


def test_a_message_of_megabytes(any_types: GrpcServer) -> None:
    values = np.random.default_rng(0).standard_normal((300_000, 3)).astype(np.float32)
    found = arrays_of(any_types.infer(message("fp32", {"x": values})))["y"]
    np.testing.assert_array_equal(found, values)


def test_the_outputs_asked_for_in_their_order(server: GrpcServer) -> None:
    model, inputs = "digits-attention", padded(frames(12))
    for asked in (["logits"], ["weights"], ["weights", "logits"]):
        response = server.infer(message(model, inputs, *asked))
        assert fields_of(response.outputs) == asked
        assert len(response.raw_output_contents) == len(asked)
    assert fields_of(server.infer(message(model, inputs)).outputs) == ["logits", "weights"]


def test_a_precision_and_a_version_can_be_asked_for(server: GrpcServer) -> None:
    request = message("digits-lstm", padded(frames(30)), model_version="1")
    plain = arrays_of(server.infer(request))["logits"]
    request.parameters["precision"].string_param = "int8"
    other = arrays_of(server.infer(request))["logits"]
    assert not np.array_equal(plain, other)
    np.testing.assert_allclose(plain, other, atol=1.0)


def test_parameters_of_every_type_are_let_pass(server: GrpcServer) -> None:
    request = message("digits-lstm", padded(frames(3)))
    request.parameters["a"].bool_param = True
    request.parameters["b"].int64_param = -1
    request.parameters["c"].string_param = "any"
    request.parameters["d"].double_param = 0.5
    request.parameters["priority"].uint64_param = 2**64 - 1
    request.parameters["timeout"].int64_param = 5_000_000
    request.parameters["unset"].SetInParent()
    request.inputs[0].parameters["e"].bool_param = True
    assert server.infer(request).outputs


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_a_request_may_be_compressed(server: GrpcServer, algorithm: str) -> None:
    inputs = padded(frames(50))
    found = server.client.infer(
        "digits-gru", triton_inputs(inputs), compression_algorithm=algorithm
    )
    plain = server.client.infer("digits-gru", triton_inputs(inputs))
    np.testing.assert_allclose(found.as_numpy("logits"), plain.as_numpy("logits"), atol=1e-5)


def test_many_at_a_time_each_get_their_own_answer(server: GrpcServer) -> None:
    sequences = [frames(1 + 7 * k % 60, seed=k) for k in range(48)]

    def alone(sequence: NDArray[np.float32]) -> NDArray[Any]:
        return arrays_of(server.infer(message("digits-transformer", padded(sequence))))["logits"]

    wanted = [alone(sequence) for sequence in sequences]

    async def ask_all() -> list[Any]:
        async with triton_aio.InferenceServerClient(server.address) as client:
            inputs = [triton_inputs(padded(sequence)) for sequence in sequences]
            return await asyncio.gather(*(client.infer("digits-transformer", i) for i in inputs))

    for result, logits in zip(asyncio.run(ask_all()), wanted, strict=True):
        np.testing.assert_allclose(result.as_numpy("logits"), logits, atol=1e-4)

    answers: queue.Queue[tuple[int, Any, Any]] = queue.Queue()
    for index, sequence in enumerate(sequences):
        server.client.async_infer(
            "digits-transformer",
            triton_inputs(padded(sequence)),
            lambda result, error, index=index: answers.put((index, result, error)),
        )
    for _ in sequences:
        index, result, error = answers.get(timeout=TIMEOUT_S)
        assert error is None
        np.testing.assert_allclose(result.as_numpy("logits"), wanted[index], atol=1e-4)


def test_requests_are_counted_as_those_of_grpc(server: GrpcServer) -> None:
    labels = {"model": "digits-rnn", "version": "1", "protocol": "grpc", "outcome": "ok"}
    before = Scrape(server.process)("seqserve_requests_total", **labels)
    server.infer(message("digits-rnn", padded(frames(3))))
    assert Scrape(server.process)("seqserve_requests_total", **labels) == before + 1


def test_the_example_of_the_docs_answers(server: GrpcServer) -> None:
    text = (CHECKOUT / "docs" / "grpc.md").read_text()
    code = text.partition("```python\n")[2].partition("```")[0]
    assert code.count("127.0.0.1:8001") == 1
    code = code.replace("127.0.0.1:8001", server.address)
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=STOP_S, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("[[")
