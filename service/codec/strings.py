"""BYTES tensors: strings, each behind its length where they travel in binary."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidRequestError

LENGTH = struct.Struct("<I")


def string_array(elements: list[str], shape: list[int]) -> NDArray[Any]:
    """Strings as an array of objects: NumPy's own strings lose what is zero at their end."""
    array = np.empty(len(elements), dtype=np.object_)
    array[:] = elements
    return array.reshape(shape)


def decode_strings(binary: memoryview, shape: list[int], count: int, field: str) -> NDArray[Any]:
    """A binary tensor of strings.

    Args:
        binary: A little-endian u32 and so many bytes, for each.
        shape: Of the tensor.
        count: Elements that the shape has.
        field: Where in the request it is described.

    Raises:
        InvalidRequestError: A length is beyond the end, they are more or fewer than the shape has,
            or one is not UTF-8, which is all that a graph takes.
    """
    elements = [decode_utf8(element, field) for element in _split(binary, field)]
    if len(elements) != count:
        raise InvalidRequestError(
            f"{field} has {len(elements)} elements, its shape {shape} has {count}", f"{field}.shape"
        )
    return string_array(elements, shape)


def decode_utf8(element: bytes | memoryview, field: str) -> str:
    """One element as a graph takes it.

    Args:
        element: As it came.
        field: Where in the request its tensor is.

    Raises:
        InvalidRequestError: It is not UTF-8.
    """
    try:
        return str(element, "utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(
            f"{field} has an element that is not UTF-8, as the model's strings are: {error.reason}",
            field,
        ) from None


def encode_strings(array: NDArray[Any]) -> bytes:
    """The same strings as a binary tensor."""
    parts = []
    for element in array.ravel().tolist():
        encoded = element.encode() if isinstance(element, str) else element
        parts += [LENGTH.pack(len(encoded)), encoded]
    return b"".join(parts)


def _split(binary: memoryview, field: str) -> Iterator[memoryview]:
    start = 0
    while start < len(binary):
        begin = start + LENGTH.size
        if begin > len(binary):
            raise InvalidRequestError(f"{field} ends within the length of an element", field)
        stop = begin + LENGTH.unpack_from(binary, start)[0]
        if stop > len(binary):
            raise InvalidRequestError(
                f"{field}: an element of {stop - begin} bytes begins {len(binary) - begin} before "
                "the end",
                field,
            )
        yield binary[begin:stop]
        start = stop
