"""Whether requests to a graph may be put together along their first axis: that is tried out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.datatypes import DATATYPES
from service.graphs.invariance import TOLERANCE
from service.graphs.model import Arrays
from service.graphs.spec import TensorSpec
from service.graphs.tensors import TensorModel

ROWS = 3
AXIS_SIZES = (3, 8, 1, 16, 32)
"""Tried for axes of any size, until the graph takes one."""


def find_obstacle(model: TensorModel) -> str:
    """Why a graph's requests must run one at a time; empty if each row's answer is its own.

    The graph is run on made rows: alone, together, and in another order.

    Args:
        model: To be tried; it is warm afterwards.
    """
    inputs = [spec for spec in model.signature.inputs if not spec.is_optional]
    for spec in (*inputs, *model.signature.outputs):
        if not spec.shape:
            return f"{spec.name} has no axes"
    for spec in inputs:
        if spec.shape[0] != -1:
            return f"the first axis of {spec.name} is always {spec.shape[0]}"
    if not inputs:
        return "the graph needs no inputs"
    reason = ""
    for size in AXIS_SIZES:
        rows = made_rows(inputs, size)
        try:
            alone = [model.run(row) for row in rows]
        except Exception as error:  # noqa: BLE001 - of any kind: it does not take such axes
            reason = reason or f"it could not be tried: {str(error).splitlines()[0]}"
            continue
        return _difference(model, rows, alone)
    return reason


def made_rows(inputs: list[TensorSpec], axis_size: int) -> list[Arrays]:
    """Inputs of one row each, which a graph can be tried with.

    Args:
        inputs: Of the graph.
        axis_size: Of every axis of any size but the first.
    """
    random = np.random.default_rng(0)
    return [{spec.name: _made(spec, axis_size, random) for spec in inputs} for _ in range(ROWS)]


def _made(spec: TensorSpec, axis_size: int, random: np.random.Generator) -> NDArray[Any]:
    dtype = DATATYPES[spec.datatype]
    sizes = (1, *[axis_size] * len(spec.shape))  # the first is the batch
    shape = tuple(
        size if axis == -1 else axis for axis, size in zip(spec.shape, sizes, strict=False)
    )
    if dtype.kind == "f":
        return np.asarray(random.standard_normal(shape)).astype(dtype)
    numbers = random.integers(0, 2, shape)  # ids that any vocabulary has
    if dtype.hasobject:
        return np.where(numbers, "a", "b").astype(dtype)
    return numbers.astype(dtype)


def _difference(model: TensorModel, rows: list[Arrays], alone: list[Arrays]) -> str:
    for order in (list(range(ROWS)), list(range(ROWS))[::-1]):
        batch = {name: np.concatenate([rows[row][name] for row in order]) for name in rows[0]}
        try:
            together = model.run(batch)
        except Exception as error:  # noqa: BLE001 - of any kind: it does not take such a batch
            return f"it takes no batch: {str(error).splitlines()[0]}"
        for name, output in together.items():
            own = [alone[row][name] for row in order]
            if output.ndim == 0 or len(output) != ROWS or any(len(row) != 1 for row in own):
                return f"{name} has not one row for each of the inputs'"
            joined = np.concatenate(own) if len({row.shape for row in own}) == 1 else None
            if joined is None or not _are_alike(joined, output):
                return f"a row of {name} depends on the other rows"
    return ""


def _are_alike(wanted: NDArray[Any], found: NDArray[Any]) -> bool:
    if wanted.shape != found.shape:
        return False
    if wanted.dtype.kind != "f":
        return bool((wanted == found).all())
    scale = max(1.0, float(np.max(np.abs(wanted), initial=0.0)))
    return np.allclose(wanted, found, rtol=0.0, atol=TOLERANCE * scale, equal_nan=True)
