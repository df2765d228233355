"""The Open Inference Protocol's binary tensors: blobs behind the JSON, in the order of its tensors.

Little-endian, row-major; on every machine that this serves on, just what lies in memory.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.codec.strings import decode_strings
from service.datatypes import DATATYPES
from service.errors import InvalidRequestError

LENGTH_HEADER = "Inference-Header-Content-Length"

LITTLE_ENDIAN = {name: dtype.newbyteorder("<") for name, dtype in DATATYPES.items()}


class Place(NamedTuple):
    """Where a binary tensor lies."""

    name: str
    start: int  # in bytes after the JSON


def json_bytes(header: str, body: bytes) -> int:
    """How much of the body is JSON; 0: none, it is one raw tensor.

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
    return length


def numbers_in(body: bytes, datatype: str, count: int, start: int, field: str) -> NDArray[Any]:
    """Numbers, or booleans, in the body's own memory.

    Args:
        body: Of the request.
        datatype: One of `DATATYPES`, not BYTES.
        count: So many.
        start: The byte that they begin with.
        field: Where in the request they are described.

    Raises:
        InvalidRequestError: A boolean is neither 0 nor 1.
    """
    array = np.frombuffer(body, LITTLE_ENDIAN[datatype], count, start)
    if datatype == "BOOL" and array.view(np.uint8).max(initial=0) > 1:
        raise InvalidRequestError(f"{field} has bytes that are no BOOL: neither 0 nor 1", field)
    return array


class Blobs:
    """What follows the JSON, given to the tensors in their order.

    Args:
        body: Of the request.
        length: Of its JSON.
    """

    def __init__(self, body: bytes, length: int) -> None:
        self._body = body
        self._length = length
        self.num_bytes = 0
        """Given so far."""
        self.places: list[Place] = []

    def take(
        self, name: str, size: object, shape: list[int], datatype: str, field: str
    ) -> NDArray[Any]:
        """The next tensor, of numbers in the body's own memory.

        Args:
            name: Of the tensor.
            size: Its `binary_data_size`.
            shape: Its shape, without a negative axis.
            datatype: One of `DATATYPES`.
            field: Where in the request it is described.

        Raises:
            InvalidRequestError: The size is no number of bytes, against the shape, or not there.
        """
        where = f"{field}.parameters.binary_data_size"
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise InvalidRequestError(f"{where} must be a number of bytes", where)
        if datatype != "BYTES":
            check_blob(size, shape, datatype, field, where)
        start = self._length + self.num_bytes
        left = len(self._body) - start
        if size > left:
            raise InvalidRequestError(f"{where} is {size}, {left} bytes are left", where)
        self.places.append(Place(name, self.num_bytes))
        self.num_bytes += size
        count = math.prod(shape)
        if datatype == "BYTES":
            binary = memoryview(self._body)[start : start + size]
            return decode_strings(binary, shape, count, field)
        return numbers_in(self._body, datatype, count, start, field).reshape(shape)

    def check_end(self) -> None:
        """Refuse bytes that no tensor took.

        Raises:
            InvalidRequestError: There are some.
        """
        if left := len(self._body) - self._length - self.num_bytes:
            raise InvalidRequestError(f"{left} bytes are left behind the last tensor", "inputs")


def check_blob(size: int, shape: list[int], datatype: str, field: str, where: str) -> None:
    """Hold a binary tensor's size against its shape.

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
