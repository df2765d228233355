"""The Open Inference Protocol's binary tensors: blobs behind the JSON, in the order of its tensors.

Little-endian, row-major; on every machine that this serves on, just what lies in memory.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from service.datatypes import DATATYPES
from service.errors import InvalidRequestError

LENGTH_HEADER = "Inference-Header-Content-Length"

LITTLE_ENDIAN = {name: dtype.newbyteorder("<") for name, dtype in DATATYPES.items()}


class Place(NamedTuple):
    """Where a binary tensor lies."""

    name: str
    dtype: np.dtype[Any]
    shape: list[int]
    start: int  # in bytes after the JSON


def json_bytes(header: str, body: bytes) -> int:
    """How much of the body is JSON.

    Args:
        header: `Inference-Header-Content-Length`; empty means all of it.
        body: Of the request.

    Raises:
        InvalidRequestError: The header is no length within the body.
    """
    if not header:
        return len(body)
    if not (header.isascii() and header.isdigit() and len(header) < 20):
        raise InvalidRequestError(f"{LENGTH_HEADER} is no length: {header!r}", LENGTH_HEADER)
    length = int(header)
    if length > len(body):
        raise InvalidRequestError(
            f"{LENGTH_HEADER} is {length}, the body has {len(body)} bytes", LENGTH_HEADER
        )
    if not length:
        raise InvalidRequestError(
            f"{LENGTH_HEADER} is 0, but a request of raw bytes alone is not read: "
            "describe the tensors in JSON before them",
            LENGTH_HEADER,
        )
    return length


class Blobs:
    """What follows the JSON, given to the tensors in their order.

    Args:
        size: Bytes after the JSON.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.num_bytes = 0
        """Given so far."""
        self.places: list[Place] = []

    def take(self, name: str, size: object, shape: list[int], datatype: str, field: str) -> None:
        """Note the place of the next tensor.

        Args:
            name: Of the tensor.
            size: Its `binary_data_size`.
            shape: Its shape.
            datatype: One of `DATATYPES`.
            field: Where in the request it is described.

        Raises:
            InvalidRequestError: The size is no number of bytes, against the shape, or not there.
        """
        where = f"{field}.parameters.binary_data_size"
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise InvalidRequestError(f"{where} must be a number of bytes", where)
        dtype = check_blob(size, shape, datatype, field, where)
        left = self._size - self.num_bytes
        if size > left:
            raise InvalidRequestError(f"{where} is {size}, {left} bytes are left", where)
        self.places.append(Place(name, dtype, shape, self.num_bytes))
        self.num_bytes += size

    def check_end(self) -> None:
        """Refuse bytes that no tensor took.

        Raises:
            InvalidRequestError: There are some.
        """
        if left := self._size - self.num_bytes:
            raise InvalidRequestError(f"{left} bytes are left behind the last tensor", "inputs")


def check_blob(size: int, shape: list[int], datatype: str, field: str, where: str) -> np.dtype[Any]:
    """Hold a binary tensor's size against its shape; returns the type of its values.

    Args:
        size: In bytes.
        shape: Of the tensor.
        datatype: One of `DATATYPES`, but not BYTES.
        field: Where in the request the tensor is described.
        where: What in the request has, or says, the size.

    Raises:
        InvalidRequestError: It is another, or no array can have this shape.
    """
    if any(axis < 0 for axis in shape):
        raise InvalidRequestError(f"{field}.shape {shape} has a negative axis", f"{field}.shape")
    dtype = LITTLE_ENDIAN[datatype]
    num_bytes = math.prod(shape) * dtype.itemsize
    if size != num_bytes:
        raise InvalidRequestError(
            f"{where} is {size}, {datatype} of shape {shape} has {num_bytes} bytes", where
        )
    try:
        np.broadcast_to(np.zeros((), dtype), shape)
    except (ValueError, OverflowError):  # no values, and other axes beyond any array's
        raise InvalidRequestError(f"{field}.shape {shape} is too large", f"{field}.shape") from None
    return dtype
