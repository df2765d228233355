"""Raw requests of the Open Inference Protocol: the whole body is one tensor, not described."""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

from service.codec.binary import LENGTH_HEADER, Place, numbers_in
from service.codec.infer import InferBody, WantedOutput
from service.codec.strings import decode_utf8, string_array
from service.datatypes import DATATYPES
from service.errors import InvalidRequestError
from service.graphs.spec import Signature, TensorSpec
from service.schedulers.job import NORMAL_PRIORITY


def read_raw(body: bytes, signature: Signature) -> InferBody:
    """What a raw request asks: all outputs, in binary, of a batch of one.

    Args:
        body: Of the request.
        signature: Of the model that it is for.

    Raises:
        InvalidRequestError: Its shape does not follow from the body's size and the signature.
    """
    required = [spec for spec in signature.inputs if not spec.is_optional]
    if len(required) != 1:
        names = ", ".join(spec.name for spec in required)
        raise _refused(f"raw bytes are one tensor, the model takes {names or 'none'}")
    spec = required[0]
    return InferBody(
        request_id=None,
        precision=None,
        priority=NORMAL_PRIORITY,
        wanted_s=None,
        outputs=[WantedOutput(output.name, True) for output in signature.outputs],
        arrays={spec.name: _array(body, spec)},
        places=[Place(spec.name, 0)],
        num_bytes=len(body),
    )


def _array(body: bytes, spec: TensorSpec) -> NDArray[Any]:
    if spec.datatype == "BYTES":
        if any(axis not in (-1, 1) for axis in spec.shape):
            raise _refused(f"raw bytes are one string, {spec.name} has shape {list(spec.shape)}")
        return string_array([decode_utf8(body, spec.name)], [1] * len(spec.shape))
    shape = _shape(len(body), DATATYPES[spec.datatype].itemsize, spec)
    return numbers_in(body, spec.datatype, math.prod(shape), 0, spec.name).reshape(shape)


def _shape(num_bytes: int, item_bytes: int, spec: TensorSpec) -> list[int]:
    """The shape whose one variable axis the size settles; a further one before it is the batch."""
    shape = list(spec.shape)
    if shape.count(-1) > 1 and shape[0] == -1:
        shape[0] = 1
    if shape.count(-1) > 1:
        raise _refused(f"its shape can't be told: that of {spec.name} is {list(spec.shape)}")
    unit_bytes = item_bytes * math.prod(axis for axis in shape if axis != -1)
    if -1 in shape and unit_bytes:
        shape[shape.index(-1)] = num_bytes // unit_bytes
    if item_bytes * math.prod(shape) != num_bytes:
        raise _refused(
            f"{num_bytes} raw bytes are no {spec.datatype} of shape {list(spec.shape)}, "
            f"which {spec.name} has"
        )
    return shape


def _refused(reason: str) -> InvalidRequestError:
    return InvalidRequestError(f"{LENGTH_HEADER} is 0, but {reason}", LENGTH_HEADER)
