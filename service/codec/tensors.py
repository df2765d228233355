"""JSON values to arrays, each refusal naming where in the request it is."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.codec.bodies import wrong_field
from service.datatypes import DATATYPES
from service.errors import (
    InvalidRequestError,
    InvalidSequenceError,
    NotFiniteError,
    NotFiniteInputError,
)
from service.graphs.model import Arrays
from service.graphs.spec import SequenceSpec

WITHOUT_JSON = {"BF16"}

AT_ONCE = 8_192
"""Values that one product looks through; NumPy's own test takes several calls."""

VALUES_AT_ONCE = 16_384
"""Written into an answer on the event loop: about 0.4 ms; larger ones are written in a thread."""

MAX_AXES = 8  # of a tensor; data nested deeper is no tensor
MAX_SHAPE = 64
"""Axes that a shape may have, as NumPy's."""


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


def check_most(num_steps: int, max_length: int, field: str) -> None:
    """Refuse more steps than a model takes; asked, too, before anything is made of long input.

    Raises:
        InvalidSequenceError: They are more.
    """
    if num_steps > max_length:
        raise InvalidSequenceError(
            f"{field} has {num_steps} steps, the model takes at most {max_length}", field
        )


def check_sequence(sequence: NDArray[Any], spec: SequenceSpec, field: str) -> None:
    """Refuse a sequence that the model can't take, so that it never meets a batch.

    Args:
        sequence: (time, ...), of the spec's type.
        spec: Of the model.
        field: Where in the request it is.

    Raises:
        InvalidSequenceError: Empty, too short or long, of another width, or with a value not
            finite.
    """
    if not len(sequence):
        raise InvalidSequenceError(f"{field} has no steps", field)
    if len(sequence) < spec.min_length:
        raise InvalidSequenceError(
            f"{field} has {len(sequence)} steps, the model takes at least {spec.min_length}", field
        )
    check_most(len(sequence), spec.max_length, field)
    if sequence.shape[1:] != spec.step_shape:
        raise InvalidSequenceError(
            f"{field} has {_width(sequence.shape[1:])} a step, the model takes "
            f"{_width(spec.step_shape)}",
            field,
        )
    if spec.dtype.kind == "f" and not np.isfinite(sequence).all():
        where = "".join(f"[{axis}]" for axis in np.argwhere(~np.isfinite(sequence))[0])
        raise NotFiniteInputError(f"{field}{where} is not a finite {spec.dtype}", f"{field}{where}")
    if spec.num_tokens and not _are_tokens(sequence, spec):
        known = (sequence >= 0) & (sequence < _limits(spec))
        place = np.argwhere(~known)[0]
        where = "".join(f"[{axis}]" for axis in place)
        raise InvalidSequenceError(
            f"{field}{where} is {sequence[tuple(place)]}, no token of the model's, "
            f"0 to {np.broadcast_to(_limits(spec), sequence.shape)[tuple(place)] - 1}",
            f"{field}{where}",
        )


def _are_tokens(ids: NDArray[Any], spec: SequenceSpec) -> bool:
    return bool(((ids >= 0) & (ids < _limits(spec))).all())


def _limits(spec: SequenceSpec) -> NDArray[np.int64]:
    return np.reshape(np.array(spec.num_tokens), spec.step_shape)


def _width(step_shape: tuple[int, ...]) -> str:
    if len(step_shape) == 1:
        return f"{step_shape[0]} features"
    return f"values of shape {list(step_shape)}" if step_shape else "one value"


def check_sequences(
    sequences: list[NDArray[Any]],
    spec: SequenceSpec,
    field: str,
    together: NDArray[Any] | None = None,
) -> None:
    """Refuse sequences that the model can't take; see `check_sequence`.

    Args:
        sequences: To check.
        spec: Of the model.
        field: Where in the request they are.
        together: One array (batch, time, ...) that holds them all, padding included.
    """
    if together is not None and _is_plain(sequences, spec, together):
        return
    for row, sequence in enumerate(sequences):
        check_sequence(sequence, spec, f"{field}[{row}]")


def _is_plain(sequences: list[NDArray[Any]], spec: SequenceSpec, together: NDArray[Any]) -> bool:
    """Whether nothing is wrong with any, found in one pass; the padding may make it a no."""
    return (
        together.shape[1] <= spec.max_length
        and together.shape[2:] == spec.step_shape
        and all(len(sequence) >= spec.min_length for sequence in sequences)
        and (spec.dtype.kind != "f" or all_finite(together))
        and (not spec.num_tokens or _are_tokens(together, spec))
    )


def check_finite(model: str, outputs: Arrays, field: str) -> None:
    """Refuse to answer with what is no finite number.

    Args:
        model: Its name.
        outputs: What it answered, axis 0 the batch.
        field: Where the batch is in the request.

    Raises:
        NotFiniteError: Of the first row with such an output.
    """
    for output in outputs.values():
        if output.dtype.kind == "f" and not all_finite(output):
            row = int(np.isfinite(output).reshape(len(output), -1).all(axis=1).argmin())
            raise NotFiniteError(model, f"{field}[{row}]")


def all_finite(values: NDArray[Any]) -> bool:
    """Whether there is no NaN and no infinity among them."""
    if values.size > AT_ONCE:
        return bool(np.isfinite(values).all())
    # the sum of squares is finite only if all are; if not, some are perhaps only beyond 1e17
    return math.isfinite(float(np.vdot(values, values))) or bool(np.isfinite(values).all())


def takes_long(results: Arrays) -> bool:
    """Whether an answer of these is better not written on the event loop."""
    arrays = results.values()
    # how long strings are is not looked through here
    has_strings = any(array.dtype.hasobject for array in arrays)
    return has_strings or sum(array.size for array in arrays) > VALUES_AT_ONCE


def tensor_array(data: object, shape: list[int], datatype: str, field: str) -> NDArray[Any]:
    """A tensor of the Open Inference Protocol, its data nested in its shape or flat.

    Raises:
        InvalidRequestError: Unknown datatype, data of another type, ragged, or against the shape.
    """
    dtype = DATATYPES.get(datatype)
    if dtype is None or datatype in WITHOUT_JSON:
        raise InvalidRequestError(
            f"{field}.datatype {datatype!r} has no values in JSON", f"{field}.datatype"
        )
    if not shape and not isinstance(data, list):  # a scalar in its natural form
        data = [data]
    try:
        values = _plain_array(data, dtype, f"{field}.data")
    except OverflowError:
        raise InvalidRequestError(
            f"{field}.data holds values that are no {datatype}", f"{field}.data"
        ) from None
    return fitted(values, shape, datatype, field, "data")


def fitted(
    values: NDArray[Any], shape: list[int], datatype: str, field: str, name: str
) -> NDArray[Any]:
    """Values of the right kind as a tensor of this type and shape.

    Args:
        values: Nested in the shape, or flat.
        shape: Of the tensor.
        datatype: Of the tensor.
        field: Where in the request it is.
        name: What its values are called there.

    Raises:
        InvalidRequestError: They are beyond the type's range, or against the shape.
    """
    dtype = DATATYPES[datatype]
    if any(axis < 0 for axis in shape):
        raise InvalidRequestError(f"{field}.shape {shape} has a negative axis", f"{field}.shape")
    if values.size and not _fits(values, dtype):
        raise InvalidRequestError(
            f"{field}.{name} holds values that are no {datatype}", f"{field}.{name}"
        )
    # what is nested ends at the first axis without values
    nested = shape if values.size else shape[: values.ndim]
    if values.size != math.prod(shape) or (values.ndim > 1 and list(values.shape) != nested):
        raise InvalidRequestError(
            f"{field}.{name} has shape {list(values.shape)}, {field}.shape says {shape}",
            f"{field}.shape",
        )
    try:
        return values.astype(dtype, copy=False).reshape(shape)
    except (ValueError, OverflowError):  # no values, and other axes beyond any array's
        raise InvalidRequestError(f"{field}.shape {shape} is too large", f"{field}.shape") from None


def _plain_array(data: object, dtype: np.dtype[Any], field: str) -> NDArray[Any]:
    """An array of what JSON has for this type: numbers, booleans or strings, never mixed.

    Raises:
        OverflowError: A whole number is beyond the type; a number beyond it becomes infinite, which
            is refused where it matters.
    """
    depth, first = 0, data
    while isinstance(first, list):
        depth, first = depth + 1, first[0] if first else None
    if not 1 <= depth <= MAX_AXES:
        raise InvalidRequestError(f"{field} must be an array of 1 to {MAX_AXES} axes", field)
    nested: Any = {"b": bool, "f": float, "O": str}.get(dtype.kind, int)
    for _ in range(depth):
        nested = list[nested]
    ragged = InvalidRequestError(f"{field} is ragged: its rows differ in length", field)
    try:
        with np.errstate(over="ignore"):
            array = np.array(msgspec.convert(data, nested), dtype=dtype)
    except msgspec.ValidationError as error:
        raise wrong_field(error, field) from None
    except ValueError:
        raise ragged from None
    if array.ndim != depth:  # of strings, an array of the rows themselves
        raise ragged
    return array


def _fits(values: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    """Whether values of the right kind are in this type's range."""
    if values.dtype == dtype or dtype.kind not in "iu":
        return True
    limits = np.iinfo(dtype)
    return bool(limits.min <= values.min() and values.max() <= limits.max)
