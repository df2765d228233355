"""A server over gRPC and its clients: Triton's, and one that sends any message or bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray
from tritonclient.grpc.service_pb2 import ModelInferRequest, ModelInferResponse
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub
from tritonclient.utils import np_to_triton_dtype

from tests.fakes import TIMEOUT_S
from tests.http.made import FINE, steps
from tests.servers import Server, serving

SERVICE = "inference.GRPCInferenceService"
Arrays = Mapping[str, NDArray[Any]]
Client = Any  # tritonclient has no types


class GrpcServer:
    """A running server.

    Args:
        server: Its process.
    """

    def __init__(self, server: Server) -> None:
        self.process = server
        self.address: str = server.wait_for_event("gRPC started")["address"]

    @cached_property
    def client(self) -> Client:
        return triton.InferenceServerClient(self.address)

    @cached_property
    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(self.address)

    @cached_property
    def stub(self) -> Any:
        return GRPCInferenceServiceStub(self.channel)

    def send(self, method: str, body: bytes, **options: Any) -> bytes:
        """The answer's bytes to a message's bytes."""
        call = self.channel.unary_unary(f"/{SERVICE}/{method}")
        answer: bytes = call(body, timeout=TIMEOUT_S, **options)
        return answer

    def status(self, method: str, body: bytes) -> grpc.StatusCode:
        """What an RPC with these bytes ends with."""
        call = self.channel.unary_unary(f"/{SERVICE}/{method}")
        return call.future(body, timeout=TIMEOUT_S).code()

    def infer(self, message: ModelInferRequest, **options: Any) -> ModelInferResponse:
        return self.stub.ModelInfer(message, **{"timeout": TIMEOUT_S, **options})

    def close(self) -> None:
        """Close the connections."""
        for name in ("client", "channel"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()
        self.__dict__.pop("stub", None)


@contextmanager
def serving_grpc(repository: Path | None = None, **options: Any) -> Iterator[GrpcServer]:
    """A server on two free ports; see `serving`."""
    with serving(repository, **{"grpc_port": 0, **options}) as process:
        server = GrpcServer(process)
        try:
            yield server
        finally:
            server.close()


def message(model: str, inputs: Arrays, *outputs: str, **fields: Any) -> ModelInferRequest:
    """A request whose tensors are raw."""
    request = ModelInferRequest(model_name=model, **fields)
    for name, array in inputs.items():
        datatype = np_to_triton_dtype(array.dtype)
        request.inputs.add(name=name, shape=array.shape, datatype=datatype)
        request.raw_input_contents.append(array.tobytes())
    for name in outputs:
        request.outputs.add(name=name)
    return request


def padded(*sequences: NDArray[np.float32]) -> Arrays:
    """Sequences (time_i, features) as one batch, with their lengths."""
    lengths = np.array([len(sequence) for sequence in sequences])
    inputs = np.zeros((len(sequences), lengths.max(), *sequences[0].shape[1:]), np.float32)
    for row, sequence in zip(inputs, sequences, strict=True):
        row[: len(sequence)] = sequence
    return {"inputs": inputs, "lengths": lengths}


def triton_inputs(inputs: Arrays) -> list[Any]:
    """The same as Triton's client takes them."""
    made = []
    for name, array in inputs.items():
        made.append(triton.InferInput(name, array.shape, np_to_triton_dtype(array.dtype)))
        made[-1].set_data_from_numpy(array)
    return made


def arrays_of(response: ModelInferResponse) -> dict[str, NDArray[Any]]:
    """An answer's tensors."""
    result = triton.InferResult(response)
    return {output.name: result.as_numpy(output.name) for output in response.outputs}


def work(amount: float = 0.0, rows: int = 1, kind: float = FINE) -> Arrays:
    """Sequences for a made model; see `tests.http.made.steps`."""
    return {"inputs": np.array([steps(kind, amount)] * rows, dtype=np.float32)}


def check_error(
    error: grpc.RpcError, status: grpc.StatusCode, field: str = "", *words: str
) -> dict[str, str]:
    """Hold an RPC's error against what it should be; returns its trailing metadata."""
    assert error.code() is status, error
    metadata: dict[str, str] = dict(error.trailing_metadata())
    assert metadata.get("error-field", "") == field, error
    for word in words:
        assert word in error.details()
    return metadata


def fields_of(parameters: Sequence[Any]) -> list[str]:
    """Names of what a message has."""
    return [parameter.name for parameter in parameters]
