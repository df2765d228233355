"""Open Inference answers: numbers go from arrays to JSON or bytes without Python objects."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from service.api.calls import Results
from service.api.exchange import BINARY_TYPE, Answer, Headers
from service.manifest import Manifest

VALUES_AT_ONCE = 16_384  # to JSON: about 0.4 ms, which the event loop stands still


class WantedOutput(NamedTuple):
    """One tensor of the answer."""

    name: str
    is_binary: bool


async def infer_answer(
    manifest: Manifest, results: Results, request_id: str | None, outputs: list[WantedOutput]
) -> Answer:
    """The answer to an inference request.

    Args:
        manifest: Of the model.
        results: What it answered.
        request_id: Of the request's body, echoed.
        outputs: The tensors to send, in this order.
    """
    # a model's name and version need no quotes escaped, by their patterns
    parts = [f'{{"model_name":"{manifest.name}","model_version":"{manifest.version}"'.encode()]
    if request_id is not None:
        parts += [b',"id":', orjson.dumps(request_id)]
    blobs: list[bytes] = []
    opening = b',"outputs":['
    for name, is_binary in outputs:
        array = results.logits if name == manifest.outputs.logits else _padded(results.weights)
        rows, columns = array.shape
        parts.append(opening)
        parts.append(
            b'{"name":%b,"datatype":"FP32","shape":[%d,%d],' % (_quoted(name), rows, columns)
        )
        if is_binary:
            parts.append(b'"parameters":{"binary_data_size":%d}}' % array.nbytes)
            blobs.append(array.astype("<f4", copy=False).tobytes())
        else:
            parts.append(b'"data":')
            await _add_numbers(parts, array.ravel())
            parts.append(b"}")
        opening = b","
    parts.append(b"]}")
    return _answer(b"".join(parts), blobs)


def _answer(document: bytes, blobs: list[bytes]) -> Answer:
    if not blobs:
        return Answer(document)
    length = b"%d" % len(document)
    headers: Headers = ((b"inference-header-content-length", length), BINARY_TYPE)
    return Answer(b"".join((document, *blobs)), headers=headers)


async def _add_numbers(parts: list[bytes], values: NDArray[np.float32]) -> None:
    """Add a JSON array of values (any,); the loop turns between parts of a long one."""
    if values.size <= VALUES_AT_ONCE:
        parts.append(orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY))
        return
    before = b"["
    for start in range(0, values.size, VALUES_AT_ONCE):
        await asyncio.sleep(0)
        piece = values[start : start + VALUES_AT_ONCE]
        parts += [before, orjson.dumps(piece, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]]
        before = b","
    parts.append(b"]")


def _padded(rows: list[NDArray[np.float32] | None]) -> NDArray[np.float32]:
    """Rows of their own lengths as one array (batch, longest), zero past each."""
    present = [row for row in rows if row is not None]
    padded = np.zeros((len(present), max(map(len, present))), dtype=np.float32)
    for row, values in enumerate(present):
        padded[row, : len(values)] = values
    return padded


@lru_cache(256)
def _quoted(name: str) -> bytes:
    return orjson.dumps(name)
