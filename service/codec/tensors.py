"""JSON values to arrays, each refusal naming where in the request it is."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.codec.bodies import wrong_field
from service.errors import InvalidRequestError, InvalidSequenceError
from service.manifest import Manifest

DATATYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
}
"""The Open Inference datatypes that have a JSON form here."""

AT_ONCE = 8_192
"""Values that one product looks through; NumPy's own test takes several calls."""

MAX_AXES = 8  # of a tensor; data nested deeper is no tensor


def sequence_array(rows: list[list[float]], field: str) -> NDArray[np.float32]:
    """One sequence, float32 (time, features), of its nested lists.

    Raises:
        InvalidSequenceError: It is ragged; the first row of another width is named.
    """
    widths = [len(row) for row in rows]
    for step, width in enumerate(widths):
        if width != widths[0]:
            raise InvalidSequenceError(
                f"{field}[{step}] has {width} values, the rows before it {widths[0]}",
                f"{field}[{step}]",
            )
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, refused below
        array: NDArray[np.float32] = np.array(rows, dtype=np.float32)
    return array


def check_sequence(sequence: NDArray[np.float32], manifest: Manifest, field: str) -> None:
    """Refuse a sequence that the model can't take, so that it never meets a batch.

    Raises:
        InvalidSequenceError: Empty, too long, of another width, or with a value not finite.
    """
    if not len(sequence):
        raise InvalidSequenceError(f"{field} has no steps", field)
    if len(sequence) > manifest.limits.max_length:
        raise InvalidSequenceError(
            f"{field} has {len(sequence)} steps, {manifest.name} takes at most "
            f"{manifest.limits.max_length}",
            field,
        )
    if sequence.ndim != 2 or sequence.shape[1] != manifest.num_features:
        width = sequence.shape[1] if sequence.ndim == 2 else 0
        raise InvalidSequenceError(
            f"{field} has {width} features a step, {manifest.name} takes {manifest.num_features}",
            field,
        )
    if not np.isfinite(sequence).all():
        step, feature = np.argwhere(~np.isfinite(sequence))[0]
        raise InvalidSequenceError(
            f"{field}[{step}][{feature}] is not a finite float32", f"{field}[{step}][{feature}]"
        )


def check_sequences(
    sequences: list[NDArray[np.float32]],
    manifest: Manifest,
    field: str,
    together: NDArray[np.float32] | None = None,
) -> None:
    """Refuse sequences that the model can't take; see `check_sequence`.

    Args:
        sequences: To check.
        manifest: Of the model.
        field: Where in the request they are.
        together: One array (batch, time, features) that holds them all, padding included.
    """
    if together is not None and _is_plain(sequences, manifest, together):
        return
    for row, sequence in enumerate(sequences):
        check_sequence(sequence, manifest, f"{field}[{row}]")


def _is_plain(
    sequences: list[NDArray[np.float32]], manifest: Manifest, together: NDArray[np.float32]
) -> bool:
    """Whether nothing is wrong with any, found in one pass; the padding may make it a no."""
    return (
        together.shape[1] <= manifest.limits.max_length
        and together.shape[2] == manifest.num_features
        and all(map(len, sequences))
        and all_finite(together)
    )


def all_finite(values: NDArray[np.float32]) -> bool:
    """Whether there is no NaN and no infinity among them."""
    if values.size > AT_ONCE:
        return bool(np.isfinite(values).all())
    # the sum of squares is finite only if all are; if not, some are perhaps only beyond 1e17
    return math.isfinite(np.vdot(values, values)) or bool(np.isfinite(values).all())


def tensor_array(data: object, shape: list[int], datatype: str, field: str) -> NDArray[Any]:
    """A tensor of the Open Inference Protocol, its data nested in its shape or flat.

    Raises:
        InvalidRequestError: Unknown datatype, data of another type, ragged, or against the shape.
    """
    dtype = DATATYPES.get(datatype)
    if dtype is None:
        raise InvalidRequestError(
            f"{field}.datatype {datatype!r} is none of {', '.join(DATATYPES)}", f"{field}.datatype"
        )
    if any(axis < 0 for axis in shape):
        raise InvalidRequestError(f"{field}.shape {shape} has a negative axis", f"{field}.shape")
    values = _plain_array(data, dtype, f"{field}.data")
    if values.size and not _fits(values, dtype):
        raise InvalidRequestError(
            f"{field}.data holds values that are no {datatype}", f"{field}.data"
        )
    if values.size != math.prod(shape) or (values.ndim > 1 and list(values.shape) != shape):
        raise InvalidRequestError(
            f"{field}.data has shape {list(values.shape)}, {field}.shape says {shape}",
            f"{field}.shape",
        )
    try:
        with np.errstate(over="ignore"):  # refused as not finite, where that matters
            return values.astype(dtype).reshape(shape)
    except (ValueError, OverflowError):  # no values, and other axes beyond any array's
        raise InvalidRequestError(f"{field}.shape {shape} is too large", f"{field}.shape") from None


def _plain_array(data: object, dtype: np.dtype[Any], field: str) -> NDArray[Any]:
    """An array of what JSON has for this type: numbers, whole numbers or booleans, never mixed."""
    depth, first = 0, data
    while isinstance(first, list):
        depth, first = depth + 1, first[0] if first else None
    if not 1 <= depth <= MAX_AXES:
        raise InvalidRequestError(f"{field} must be an array of 1 to {MAX_AXES} axes", field)
    nested: Any = {"b": bool, "f": float}.get(dtype.kind, int)
    for _ in range(depth):
        nested = list[nested]
    try:
        return np.array(msgspec.convert(data, nested))
    except msgspec.ValidationError as error:
        raise wrong_field(error, field) from None
    except ValueError:
        raise InvalidRequestError(f"{field} is ragged: its rows differ in length", field) from None


def _fits(values: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    """Whether values of the right kind are in this type's range."""
    if dtype.kind in "bf":
        return True
    limits = np.iinfo(dtype)
    # a list of whole numbers that no integer type holds becomes floats or objects
    return values.dtype.kind in "iu" and limits.min <= values.min() and values.max() <= limits.max
