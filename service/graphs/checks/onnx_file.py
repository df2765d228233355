"""What an ONNX file says that onnxruntime does not tell: operators, and which tensors have ranks.

The file is protobuf (onnx.proto3). Only the fields that are wanted are looked into: weights, inside
or in files beside it, are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from service.reading import read_regular

# numbers of fields, by message: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3
MODEL_GRAPH, MODEL_FUNCTIONS = 7, 25
GRAPH_NODE, GRAPH_INPUT, GRAPH_OUTPUT = 1, 11, 12
FUNCTION_NODE = 7
NODE_OPERATOR, NODE_ATTRIBUTE = 4, 5
ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS = 6, 11
VALUE_NAME, VALUE_TYPE = 1, 2
TYPE_TENSOR, TENSOR_SHAPE = 1, 2

VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5
"""How a field's value is written."""


class OnnxFile(NamedTuple):
    """What is read of a file."""

    operators: frozenset[str]
    """Of its graph, the graphs within (loops, branches) and its functions; without domains."""
    unranked: frozenset[str]
    """Inputs and outputs that it gives no shape, not even a number of axes."""


def read_onnx_file(source: bytes | Path) -> OnnxFile | None:
    """Look into a graph that onnxruntime takes.

    Args:
        source: Its bytes or its file.

    Returns:
        What it says; None if it is written in another form, such as onnxruntime's own.
    """
    try:
        if isinstance(source, bytes):
            return _read(source)
        # not mapped: a page that does not come would hold Python's lock
        return _read(read_regular(source))
    except (ValueError, IndexError):
        return None


def _read(content: bytes) -> OnnxFile:
    operators: set[str] = set()
    unranked: set[str] = set()
    graphs = 0
    for field, start, stop in _fields(content, 0, len(content)):
        if field == MODEL_GRAPH:
            graphs += 1
            _read_graph(content, start, stop, operators, unranked)
        elif field == MODEL_FUNCTIONS:
            _read_nodes(content, start, stop, FUNCTION_NODE, operators)
    if graphs != 1:
        raise ValueError("no model")
    return OnnxFile(frozenset(operators), frozenset(unranked))


def _read_graph(
    content: bytes, start: int, stop: int, operators: set[str], unranked: set[str]
) -> None:
    _read_nodes(content, start, stop, GRAPH_NODE, operators)
    for field, begin, end in _fields(content, start, stop):
        if field in (GRAPH_INPUT, GRAPH_OUTPUT):
            name, has_rank = _read_value(content, begin, end)
            if not has_rank:
                unranked.add(name)


def _read_nodes(content: bytes, start: int, stop: int, node: int, operators: set[str]) -> None:
    for field, begin, end in _fields(content, start, stop):
        if field != node:
            continue
        for part, at, to in _fields(content, begin, end):
            if part == NODE_OPERATOR:
                operators.add(_text(content, at, to))
            elif part == NODE_ATTRIBUTE:
                for value, first, last in _fields(content, at, to):
                    if value in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS):
                        _read_nodes(content, first, last, GRAPH_NODE, operators)


def _read_value(content: bytes, start: int, stop: int) -> tuple[str, bool]:
    name, has_rank = "", True
    for field, begin, end in _fields(content, start, stop):
        if field == VALUE_NAME:
            name = _text(content, begin, end)
        elif field == VALUE_TYPE:
            for kind, at, to in _fields(content, begin, end):
                if kind == TYPE_TENSOR:
                    has_rank = any(part == TENSOR_SHAPE for part, *_ in _fields(content, at, to))
    return name, has_rank


def _text(content: bytes, start: int, stop: int) -> str:
    return content[start:stop].decode()


def _fields(content: bytes, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """The fields of a message: number, and from where to where its value is, if it is bytes.

    Raises:
        ValueError: It is no message.
    """
    while start < stop:
        tag, start = _varint(content, start)
        kind = tag & 7
        if kind == BYTES:
            size, start = _varint(content, start)
            if size > stop - start:
                raise ValueError("a field goes beyond its message")
            yield tag >> 3, start, start + size
            start += size
        elif kind == VARINT:
            _, start = _varint(content, start)
        elif kind in (FIXED_32, FIXED_64):
            start += 4 if kind == FIXED_32 else 8
        else:
            raise ValueError(f"no field is written in way {kind}")


def _varint(content: bytes, start: int) -> tuple[int, int]:
    """A number of 7 bits a byte, the lowest first; and where it ends."""
    value = content[start]
    if value < 128:
        return value, start + 1
    value &= 127
    for place in range(1, 10):
        byte = content[start + place]
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, start + place + 1
    raise ValueError("a number is too long")
