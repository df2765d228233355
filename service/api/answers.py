"""Open Inference answers: numbers go from arrays to JSON or bytes without Python objects."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from service.calls.exchange import BINARY_TYPE, Answer, Headers
from service.codec.classes import top_classes
from service.codec.infer import WantedOutput
from service.codec.strings import encode_strings
from service.codec.tensors import VALUES_AT_ONCE, all_finite
from service.errors import NotFiniteOutputError
from service.graphs.model import Arrays
from service.repository.served import Served

LENGTH_HEADER = b"inference-header-content-length"


def infer_answer(
    served: Served, request_id: str | None, outputs: list[WantedOutput], results: Arrays
) -> Answer:
    """The answer to an inference request.

    Args:
        served: The model.
        request_id: Of the request's body, echoed.
        outputs: The tensors to send, in this order.
        results: What the model answered.

    Raises:
        NotFiniteOutputError: JSON, or the names of classes, are wanted of what is not finite.
    """
    parts = [_opening(served.name, served.version)]
    if request_id is not None:
        parts += [b',"id":', orjson.dumps(request_id)]
    parts.append(b',"outputs":[')
    comma, blobs = b"", list[bytes]()
    for wanted in outputs:
        datatype, values = wanted_values(served, wanted, results[wanted.name])
        parts.append(comma)
        comma = b","
        if wanted.is_binary:
            blobs.append(blob_of(datatype, values))
            parts.append(_described(wanted.name, datatype, values.shape, len(blobs[-1])))
        else:
            parts.append(_described(wanted.name, datatype, values.shape, None))
            _add_values(parts, values.ravel())
        parts.append(b"}")
    parts.append(b"]}")
    return _answer(b"".join(parts), blobs)


def blob_of(datatype: str, values: NDArray[Any]) -> bytes:
    """A tensor's values in binary."""
    return encode_strings(values) if datatype == "BYTES" else values.tobytes()


def wanted_values(
    served: Served, wanted: WantedOutput, values: NDArray[Any]
) -> tuple[str, NDArray[Any]]:
    """An output's datatype and values; or those of its classes' names.

    Raises:
        NotFiniteOutputError: JSON, or the names of classes, are wanted of what is not finite.
    """
    is_written = wanted.num_classes or not wanted.is_binary
    if is_written and values.dtype.kind == "f" and not all_finite(values):
        raise NotFiniteOutputError(wanted.name)
    if not wanted.num_classes:
        return served.signature.output(wanted.name).datatype, values
    manifest = served.manifest
    labels: list[str] = []
    if manifest is not None and manifest.outputs.logits == wanted.name:
        labels = manifest.outputs.labels
    return "BYTES", top_classes(values, wanted.num_classes, labels)


class AnswerTemplate(NamedTuple):
    """An answer without its numbers, as `native.Plan` takes it."""

    header_lines: bytes
    """But the length of the JSON before binary tensors: that follows what is filled in."""
    before_id: bytes
    """The words before the body's id; none if it has no id."""
    pieces: list[tuple[bytes, int, bool]]
    """Of each tensor: the words before its numbers, its place among the graph's outputs, and
    whether it is binary."""
    behind: bytes


def answer_template(
    served: Served, has_id: bool, outputs: list[WantedOutput], lengths: Sequence[int]
) -> AnswerTemplate:
    """What every answer says beside its numbers and its id.

    Args:
        served: The model, of sequences; all its outputs are float32.
        has_id: Whether the request's body has one.
        outputs: The tensors to send, in this order.
        lengths: Of the request's sequences.
    """
    assert served.sequences is not None
    specs = served.sequences.outputs
    results: Arrays = {
        spec.name: np.zeros(spec.axes(len(lengths), max(lengths)), spec.dtype) for spec in specs
    }
    answer = infer_answer(served, "" if has_id else None, outputs, results)
    headers = dict(answer.headers)
    document = answer.body[: int(headers.get(LENGTH_HEADER, len(answer.body)))]
    before_id = b""
    if has_id:
        before_id, id_, document = document.partition(b'"id":"')
        before_id += id_
    places = {spec.name: place for place, spec in enumerate(specs)}
    pieces = []
    for name, is_binary, _ in outputs:
        before = b""
        if not is_binary:
            before, data, rest = document.partition(b'"data":[')  # in no string: it has quotes
            before, document = before + data, rest[rest.index(b"]") :]
        pieces.append((before, places[name], is_binary))
    lines = b"".join(
        b"%b: %b\r\n" % header for header in answer.headers if header[0] != LENGTH_HEADER
    )
    return AnswerTemplate(lines, before_id, pieces, document)


@lru_cache(256)
def _opening(name: str, version: str) -> bytes:
    """What every answer of a model begins with."""
    return b'{"model_name":%b,"model_version":%b' % (orjson.dumps(name), orjson.dumps(version))


@lru_cache(1_024)
def _described(name: str, datatype: str, shape: tuple[int, ...], num_bytes: int | None) -> bytes:
    """An output up to its values; or where they are binary, of so many bytes, up to its end."""
    described = b'{"name":%b,"datatype":"%b","shape":%b,' % (
        orjson.dumps(name),
        datatype.encode(),
        orjson.dumps(shape),
    )
    if num_bytes is not None:
        return b'%b"parameters":{"binary_data_size":%d}' % (described, num_bytes)
    return described + b'"data":'


def _answer(document: bytes, blobs: list[bytes]) -> Answer:
    if not blobs:
        return Answer(document)
    length = b"%d" % len(document)
    headers: Headers = ((LENGTH_HEADER, length), BINARY_TYPE)
    return Answer(b"".join((document, *blobs)), headers=headers)


def _add_values(parts: list[bytes], values: NDArray[Any]) -> None:
    """Add a JSON array of values (any,), in pieces: each holds the interpreter's lock."""
    if values.size <= VALUES_AT_ONCE:
        parts.append(_encoded(values))
        return
    before = b"["
    for start in range(0, values.size, VALUES_AT_ONCE):
        parts += [before, _encoded(values[start : start + VALUES_AT_ONCE])[1:-1]]
        before = b","
    parts.append(b"]")


def _encoded(values: NDArray[Any]) -> bytes:
    if values.dtype.hasobject:
        return orjson.dumps(values.tolist())
    return orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)
