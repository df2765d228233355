"""Inputs of a described graph that are always the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from service.datatypes import DATATYPES
from service.description import Value
from service.errors import BundleError
from service.graphs.described import layout
from service.graphs.described.layout import Axes, Feed
from service.graphs.spec import TensorSpec

if TYPE_CHECKING:
    from service.graphs.described.describe import Given


def constant_feed(given: Given, name: str, value: Value) -> Feed:
    """What feeds an input its constant.

    Args:
        given: Of the graph.
        name: Of the input.
        value: In its shape; or one for all its elements, whose axes of any size follow the batch
            and the time.

    Raises:
        BundleError: The graph has no such input, or it takes no such value.
    """
    spec = given.inputs.get(name)
    if spec is None or spec.datatype == "BF16":
        raise BundleError(f"constants: the graph has no input {name!r}, but {given.names}")
    array = _array(spec, value)
    axes = Axes(None)
    if array.ndim == 0 and spec.shape:
        axes = _open_axes(given, spec)
        sizes = [size for place, size in enumerate(spec.shape) if place not in axes.places]
        array = np.full(sizes, array)
    elif len(spec.shape) != array.ndim or any(
        size not in (-1, have) for size, have in zip(spec.shape, array.shape, strict=True)
    ):
        raise BundleError(
            f"constants.{name}: it is {list(spec.shape)} in the graph, the value "
            f"{list(array.shape)}"
        )
    return Feed(name, array.dtype, axes, layout.constant(array, axes))


def _array(spec: TensorSpec, value: Value) -> NDArray[Any]:
    """The value in the graph's type."""
    dtype = DATATYPES[spec.datatype]
    refusal = BundleError(f"constants.{spec.name}: {str(value)[:80]} is no {spec.datatype}")
    try:
        found = np.array(value)
    except ValueError:  # ragged
        raise refusal from None
    kinds = {"O": "U", "b": "b", "f": "iuf"}.get(dtype.kind, "iu")
    if found.dtype.kind not in kinds:
        raise refusal
    with np.errstate(over="ignore"):
        array = found.astype(dtype)
    if dtype.kind in "iu" and not np.array_equal(array.astype(found.dtype), found):
        raise refusal
    return array


def _open_axes(given: Given, spec: TensorSpec) -> Axes:
    """Where the axes of any size are the batch's and the time's."""
    there = [place for place, size in enumerate(spec.shape) if size == -1]
    wanted = [not given.fixed_batch, given.at.time is not None]
    if len(there) == 1 and not given.fixed_batch:
        return Axes(there[0])
    if len(there) > sum(wanted):
        raise BundleError(
            f"constants.{spec.name}: it is {list(spec.shape)} in the graph, more axes of any size "
            "than batch and time: write its value in nested lists"
        )
    if not there:
        return Axes(None)
    return Axes(there[0] if wanted[0] else None, there[-1] if wanted[1] else None)
