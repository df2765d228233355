"""JSON tensors straight to arrays, without a Python object a number.

What is plain is read here. Whatever is not (an unknown field, a repeated one, a ragged row, any
error) gives None: the slow decoder reads it again and words the refusal. So this may only take
what the slow one takes, and as the same values.

Arrays are flattened by simdjson without a word. That none lies deeper than was looked at follows
from their number: as many `[` in the body as arrays were seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import simdjson
from numpy.typing import NDArray

from service.codec.bodies import has_too_many_objects, without_nulls
from service.codec.tensors import MAX_SHAPE

Found = dict[str, Any]

INFER_FIELDS = {"inputs", "id", "outputs", "parameters"}
TENSOR_FIELDS = {"name", "shape", "datatype", "data", "parameters"}
OUTPUT_FIELDS = {"name", "parameters"}

NOT_PLAIN = (ValueError, TypeError, RuntimeError, LookupError)
"""What simdjson raises, and what this module does."""


def read_infer(body: bytes) -> Found | None:
    """An Open Inference request, each `data` an array of its `shape`; None if it is not plain."""
    try:
        found = _members(_parsed(body), INFER_FIELDS)
        seen = 1
        tensors = []
        for item in _array(found["inputs"]):
            tensor = _members(item, TENSOR_FIELDS)
            seen += 1 + _read_data(tensor)
            tensors.append(tensor)
        if isinstance(outputs := found.get("outputs"), simdjson.Array):
            seen += 1
            found["outputs"] = [_members(item, OUTPUT_FIELDS) for item in outputs]
        _check_arrays(body, seen)
        found["inputs"] = tensors
        return _plain(found)
    except NOT_PLAIN:
        return None


def read_sequences(
    body: bytes, fields: set[str], check_count: Callable[[int, str], None]
) -> tuple[Found, list[NDArray[np.float32]]] | None:
    """A task level request: its options and its sequences; None if it is not plain.

    Args:
        body: Of the request.
        fields: That it may have.
        check_count: Refuses so many sequences in a field, if they are too many.

    Raises:
        ServiceError: What `check_count` raises.
    """
    try:
        found = _members(_parsed(body), fields)
        given = _array(found.pop("sequences"))
        check_count(len(given), "sequences")
        sequences = []
        seen = 1
        for item in given:
            (width,) = set(map(len, _array(item)))  # ragged: not one
            seen += 1 + len(item)
            sequences.append(_values(item, [len(item), width], "FP32"))
        _check_arrays(body, seen)
        return _plain(found), sequences
    except NOT_PLAIN:
        return None


def _parsed(body: bytes) -> Any:
    """The document, by a parser of its own: one kept would hold the largest body ever read."""
    if body[:1] != b"{":  # as a byte order mark, which simdjson takes
        raise ValueError
    if has_too_many_objects(body):
        raise ValueError
    return simdjson.Parser().parse(body)


def _array(value: Any) -> Any:
    if not isinstance(value, simdjson.Array):
        raise TypeError
    return value


def _members(item: Any, fields: set[str]) -> Found:
    """An object's members, which must be of these fields and none twice; those of null left out."""
    # not items(): that makes Python objects of all that is under them
    found: Found = {name: item[name] for name in item} if isinstance(item, simdjson.Object) else {}
    if not found or len(found) != len(item) or not found.keys() <= fields:
        raise ValueError
    if isinstance(parameters := found.get("parameters"), simdjson.Object):
        found["parameters"] = without_nulls(parameters.as_dict())
    if None in found.values():
        return {name: value for name, value in found.items() if value is not None}
    return found


def _plain(found: Found) -> Found:
    """The same; fails if a value is still a document's, which no field's type takes."""
    if any(isinstance(value, simdjson.Object | simdjson.Array) for value in found.values()):
        raise TypeError
    return found


def _read_data(tensor: Found) -> int:
    """Put arrays in place of a tensor's `shape` and `data`; how many JSON arrays `data` is."""
    axes = _array(tensor["shape"])
    if len(axes) > MAX_SHAPE:
        raise ValueError
    shape = axes.as_list()
    if not shape or not all(type(axis) is int and axis > 0 for axis in shape):
        raise ValueError
    data = _array(tensor["data"])
    num_arrays = 1
    if isinstance(data[0], simdjson.Array):
        _check_nested(data, shape)
        num_arrays += sum(math.prod(shape[:depth]) for depth in range(1, len(shape)))
    tensor["shape"] = shape
    tensor["data"] = _values(data, shape, tensor["datatype"])
    return num_arrays


def _check_nested(array: Any, shape: list[int]) -> None:
    """Fail unless these arrays nest just so; what is no array but has a length fails later."""
    if len(array) != shape[0] or len(shape) < 2:
        raise ValueError
    if len(shape) == 2:
        if set(map(len, array)) != {shape[1]}:
            raise ValueError
    else:
        for inner in array:
            _check_nested(_array(inner), shape[1:])


def _values(array: Any, shape: list[int], datatype: str) -> NDArray[Any]:
    """All numbers under an array; fails if one is of another type, or if they are not as many."""
    if datatype == "INT64":
        return np.frombuffer(array.as_buffer(of_type="i"), dtype=np.int64).reshape(shape)
    if datatype != "FP32":
        raise ValueError
    values = np.frombuffer(array.as_buffer(of_type="d"), dtype=np.float64).reshape(shape)
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, refused later
        return values.astype(np.float32)


def _check_arrays(body: bytes, seen: int) -> None:
    """Fail unless the body has as many arrays as were seen; a `[` in a string fails too."""
    if seen > 16:
        if body.count(b"[") != seen:
            raise ValueError
        return
    place = -1
    for _ in range(seen):  # several times quicker than counting, while they are few
        place = body.index(b"[", place + 1)
    if body.find(b"[", place + 1) >= 0:
        raise ValueError
