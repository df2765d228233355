"""Wire formats: sequences to the bytes of an HTTP request, and an answer back to logits."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

HEADER_LENGTH = "Inference-Header-Content-Length"

Sequences = list[NDArray[np.float32]]


class Wire(Protocol):
    """A way to ask and to read the answer."""

    @property
    def kind(self) -> Literal["json", "binary"]:
        """Whether the numbers travel as text or as they are in memory."""

    def request(self, model: str, sequences: Sequences) -> bytes:
        """The whole request for sequences (time, features)."""

    def logits(self, body: bytes, headers: dict[str, str]) -> NDArray[np.float32]:
        """Of an answer, (batch, classes)."""


@dataclass(frozen=True)
class NestedJson:
    """Nested lists under one name, as a service made by hand has it.

    Args:
        path: With `{model}` in it, or the model's name goes into the body, as `model`.
        field: Of the request's object, the list of sequences.
        answer: Of the answer's object, the list of logits; None if the answer is that list.
    """

    path: str = "/{model}"
    field: str = "sequences"
    answer: str | None = "logits"
    kind: Literal["json"] = "json"

    def request(self, model: str, sequences: Sequences) -> bytes:
        """The whole request for sequences (time, features)."""
        rows = ",".join(
            f"[{','.join(f'[{_numbers(step)}]' for step in sequence)}]" for sequence in sequences
        )
        name = "" if "{model}" in self.path else f'"model":"{model}",'
        body = f'{{{name}"{self.field}":[{rows}]}}'.encode()
        return http_post(self.path.format(model=model), body, "application/json")

    def logits(self, body: bytes, headers: dict[str, str]) -> NDArray[np.float32]:
        """Of an answer, (batch, classes)."""
        answer = json.loads(body)
        return np.array(answer[self.answer] if self.answer else answer, dtype=np.float32)


@dataclass(frozen=True)
class OpenInferenceJson:
    """The Open Inference Protocol: rows padded to one length, flat, and `lengths` if they differ.

    Args:
        parameters: Of every request.
        length_shape: What a row of `lengths` is: a number, or an axis of one.
    """

    parameters: dict[str, Any] = field(default_factory=dict)
    length_shape: tuple[int, ...] = ()
    kind: Literal["json"] = "json"

    def request(self, model: str, sequences: Sequences) -> bytes:
        """The whole request for sequences (time, features)."""
        tensors = ",".join(
            f'{{"name":"{name}","datatype":"{datatype}","shape":{list(array.shape)},'
            f'"data":[{_numbers(array.ravel())}]}}'
            for name, datatype, array in _tensors(sequences, self.length_shape)
        )
        parameters = f'"parameters":{json.dumps(self.parameters)},' if self.parameters else ""
        body = f'{{{parameters}"inputs":[{tensors}],"outputs":[{{"name":"logits"}}]}}'.encode()
        return http_post(f"/v2/models/{model}/infer", body, "application/json")

    def logits(self, body: bytes, headers: dict[str, str]) -> NDArray[np.float32]:
        """Of an answer, (batch, classes)."""
        (output,) = json.loads(body)["outputs"]
        return np.array(output["data"], dtype=np.float32).reshape(output["shape"])


@dataclass(frozen=True)
class OpenInferenceBinary:
    """The protocol's binary tensor extension, both ways: a JSON header, then the arrays.

    Args:
        parameters: Of every request.
        length_shape: What a row of `lengths` is: a number, or an axis of one.
    """

    parameters: dict[str, Any] = field(default_factory=dict)
    length_shape: tuple[int, ...] = ()
    kind: Literal["binary"] = "binary"

    def request(self, model: str, sequences: Sequences) -> bytes:
        """The whole request for sequences (time, features)."""
        tensors = _tensors(sequences, self.length_shape)
        header: dict[str, Any] = {
            "inputs": [
                {
                    "name": name,
                    "datatype": datatype,
                    "shape": array.shape,
                    "parameters": {"binary_data_size": array.nbytes},
                }
                for name, datatype, array in tensors
            ],
            "outputs": [{"name": "logits", "parameters": {"binary_data": True}}],
        }
        if self.parameters:
            header["parameters"] = self.parameters
        head = json.dumps(header, separators=(",", ":")).encode()
        body = head + b"".join(array.tobytes() for _, _, array in tensors)
        path = f"/v2/models/{model}/infer"
        return http_post(path, body, "application/octet-stream", {HEADER_LENGTH: len(head)})

    def logits(self, body: bytes, headers: dict[str, str]) -> NDArray[np.float32]:
        """Of an answer, (batch, classes)."""
        head_bytes = int(headers[HEADER_LENGTH.lower()])
        (output,) = json.loads(body[:head_bytes])["outputs"]
        return np.frombuffer(body, np.float32, offset=head_bytes).reshape(output["shape"])


@dataclass(frozen=True)
class Msgpack:
    """A msgpack object: `lengths`, and in `data` all steps of all sequences as raw float32.

    Args:
        path: With `{model}` in it.
    """

    path: str = "/{model}"
    kind: Literal["binary"] = "binary"

    def request(self, model: str, sequences: Sequences) -> bytes:
        """The whole request for sequences (time, features)."""
        content = {
            "lengths": [len(sequence) for sequence in sequences],
            "data": b"".join(sequence.tobytes() for sequence in sequences),
        }
        body = msgspec.msgpack.encode(content)
        return http_post(self.path.format(model=model), body, "application/msgpack")

    def logits(self, body: bytes, headers: dict[str, str]) -> NDArray[np.float32]:
        """Of an answer, (batch, classes)."""
        answer = msgspec.msgpack.decode(body)
        return np.frombuffer(answer["logits"], np.float32).reshape(answer["shape"])


def http_post(
    path: str, body: bytes, content_type: str, headers: dict[str, object] | None = None
) -> bytes:
    """A whole request; the connection stays open, as HTTP/1.1 has it."""
    fields = {
        "Host": "127.0.0.1",
        "Content-Type": content_type,
        "Content-Length": len(body),
        **(headers or {}),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


def _numbers(values: NDArray[Any]) -> str:
    """Separated by commas, each as short as its type's precision allows."""
    return ",".join(map(str, values))


def _tensors(
    sequences: Sequences, length_shape: tuple[int, ...]
) -> list[tuple[str, str, NDArray[Any]]]:
    """Name, datatype and array of each input; without `lengths` every row is full."""
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    inputs = np.zeros((len(sequences), lengths.max(), sequences[0].shape[1]), dtype=np.float32)
    for row, sequence in zip(inputs, sequences, strict=True):
        row[: len(sequence)] = sequence
    tensors: list[tuple[str, str, NDArray[Any]]] = [("inputs", "FP32", inputs)]
    if lengths.min() < lengths.max():
        tensors.append(("lengths", "INT64", lengths.reshape(-1, *length_shape)))
    return tensors
