"""Requests and answers of the protocol, written from its text and not from the service's code."""

from __future__ import annotations

import json
import struct
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

LENGTH = "Inference-Header-Content-Length"
NUMBERS = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
    "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "FP16": "<f2", "BF16": "<u2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
"""NumPy's name of each datatype's values; BF16 by its bits."""


def to_binary(values: NDArray[Any], datatype: str) -> bytes:
    """A tensor as the binary extension has it; strings are str objects."""
    if datatype != "BYTES":
        return values.astype(NUMBERS[datatype]).tobytes()
    encoded = [element.encode() for element in values.ravel()]
    return b"".join(struct.pack("<I", len(element)) + element for element in encoded)


def from_binary(blob: bytes, datatype: str, shape: list[int]) -> NDArray[Any]:
    """The same back."""
    if datatype != "BYTES":
        return np.frombuffer(blob, NUMBERS[datatype]).reshape(shape)
    elements = []
    while blob:
        (size,) = struct.unpack_from("<I", blob)
        elements.append(blob[4 : 4 + size].decode())
        blob = blob[4 + size :]
    return strings(elements, shape)


def strings(elements: list[str], shape: list[int]) -> NDArray[Any]:
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array.reshape(shape)


def described(
    name: str, values: NDArray[Any], datatype: str, *, binary: bool, nested: bool = False
) -> tuple[dict[str, Any], bytes]:
    """An input as JSON describes it, and what follows the JSON."""
    tensor: dict[str, Any] = {"name": name, "shape": list(values.shape), "datatype": datatype}
    if not binary:
        tensor["data"] = (values if nested else values.ravel()).tolist()
        return tensor, b""
    blob = to_binary(values, datatype)
    tensor["parameters"] = {"binary_data_size": len(blob)}
    return tensor, blob


def infer(
    client: httpx.Client,
    model: str,
    document: dict[str, Any],
    blobs: bytes = b"",
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """Ask a model; the header that says where JSON ends is sent if something follows it."""
    head = json.dumps(document).encode()
    length = {LENGTH: str(len(head))} if blobs else {}
    return client.post(
        f"/v2/models/{model}/infer", content=head + blobs, headers=length | (headers or {})
    )


def outputs_of(response: httpx.Response) -> dict[str, NDArray[Any]]:
    """Every tensor of an answer, from wherever it is; fails if a byte is left over."""
    assert response.status_code == 200, response.text
    size = int(response.headers.get(LENGTH, len(response.content)))
    document, rest = json.loads(response.content[:size]), response.content[size:]
    found = {}
    for output in document["outputs"]:
        shape, datatype = output["shape"], output["datatype"]
        if "data" in output:
            values = output["data"]
            found[output["name"]] = (
                strings(values, shape)
                if datatype == "BYTES"
                else np.array(values, NUMBERS[datatype]).reshape(shape)
            )
            continue
        blob = rest[: output["parameters"]["binary_data_size"]]
        found[output["name"]] = from_binary(blob, datatype, shape)
        rest = rest[len(blob) :]
    assert not rest
    return found
