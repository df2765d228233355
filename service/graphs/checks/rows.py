"""Made rows of whole tensors: of what sizes and numbers a graph takes them, is found by trying."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator, Mapping

import numpy as np

from service.datatypes import DATATYPES
from service.graphs.checks.values import ORDINARY, Range, draw, find_range, nudge
from service.graphs.model import Arrays
from service.graphs.spec import Axes, TensorSpec
from service.graphs.tensors import TensorModel

AXIS_SIZES = (3, 8, 1, 4, 16, 32, 64, 128, 512)
"""Tried for axes of any size, until the graph takes one."""
RANKS = (2, 3, 1, 4, 0)
"""Tried for inputs whose number of axes the file does not say."""
LARGEST_ROW = 1 << 20  # values of one input, at most
QUICK_S = 0.005  # of a run: what takes longer is not tried at larger sizes


@dataclasses.dataclass(frozen=True)
class Rows:
    """Makes inputs that a graph takes, one row at a time.

    Args:
        inputs: Of the graph, without those that may be left out.
        axis_size: Of every axis of any size but the first.
        kind: A kind that the graph took.
        numbers: What whole numbers each input takes, by name.
        seconds: What a run of one took, of CPU time.
        empty: Axes that are of length 0 instead.
    """

    inputs: tuple[TensorSpec, ...]
    axis_size: int
    kind: str
    numbers: Mapping[str, Range] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    empty: Axes = frozenset()

    def make(self, kind: str, random: np.random.Generator) -> Arrays:
        """One row of this kind."""
        return {
            spec.name: draw(
                kind, spec.datatype, self._shape(spec), self.numbers.get(spec.name, Range()), random
            )
            for spec in self.inputs
        }

    def nudged(self, row: Arrays, random: np.random.Generator) -> Arrays:
        """The same row, as far as float32 can tell."""
        return {spec.name: nudge(row[spec.name], spec.datatype, random) for spec in self.inputs}

    @property
    def num_values(self) -> int:
        """Of the largest input."""
        return max((math.prod(self._shape(spec)) for spec in self.inputs), default=0)

    def _shape(self, spec: TensorSpec) -> list[int]:
        sizes = [1, *[self.axis_size] * len(spec.shape)]  # the first is the batch
        shape = [
            size if axis == -1 else axis for axis, size in zip(spec.shape, sizes, strict=False)
        ]
        return [0 if (spec.name, axis) in self.empty else size for axis, size in enumerate(shape)]


def find_rows(model: TensorModel, empty: Axes = frozenset()) -> Rows | str:
    """The first rows that a graph takes; or why it takes none of those that are tried.

    Args:
        model: The graph.
        empty: Axes that are of length 0 in all of them.
    """
    random = np.random.default_rng(0)
    reason = ""
    for rows in _candidates(model, empty):
        started_s = time.thread_time()
        try:
            model.run(rows.make(rows.kind, random))
        except Exception as error:  # noqa: BLE001 - of any kind: it does not take such
            reason = reason or str(error).splitlines()[0]
        else:
            return dataclasses.replace(rows, seconds=time.thread_time() - started_s)
    return reason


def _candidates(model: TensorModel, empty: Axes) -> Iterator[Rows]:
    inputs = tuple(spec for spec in model.signature.inputs if not spec.is_optional)
    for rank in RANKS if any(not spec.has_rank for spec in inputs) else (0,):
        ranked = tuple(
            spec if spec.has_rank else spec._replace(shape=(-1,) * rank) for spec in inputs
        )
        has_floats = any(DATATYPES[spec.datatype].kind == "f" for spec in inputs)
        has_axes = any(-1 in spec.shape[1:] for spec in ranked)
        for size in AXIS_SIZES if has_axes else AXIS_SIZES[:1]:
            for kind in ORDINARY if has_floats else ORDINARY[:1]:
                rows = Rows(ranked, size, kind, empty=empty)
                if rows.num_values <= LARGEST_ROW:
                    yield rows


def find_numbers(model: TensorModel, rows: Rows) -> Rows:
    """The same rows, their whole numbers spread over what the graph takes."""
    random = np.random.default_rng(0)
    row = rows.make(rows.kind, random)
    numbers: dict[str, Range] = {}
    for spec in rows.inputs:
        dtype = DATATYPES[spec.datatype]
        if dtype.kind not in "iu" or spec.datatype == "BF16":
            numbers[spec.name] = Range(0, 25)  # letters, bits
            continue
        limits = np.iinfo(dtype)

        def takes(number: int, name: str = spec.name, limits: np.iinfo = limits) -> bool:
            if not limits.min <= number <= limits.max:
                return False
            return is_taken(model, row | {name: np.full_like(row[name], number)})

        numbers[spec.name] = find_range(takes)
    return dataclasses.replace(rows, numbers=numbers)


def find_larger(model: TensorModel, rows: Rows, largest: int) -> Rows:
    """Rows of larger axes, as long as the graph takes them and is quick with them.

    Args:
        model: The graph.
        rows: That it takes.
        largest: Size of an axis, at most.
    """
    random = np.random.default_rng(0)
    while rows.axis_size < largest and rows.seconds < QUICK_S:
        larger = dataclasses.replace(rows, axis_size=min(4 * rows.axis_size, largest))
        if larger.num_values > LARGEST_ROW:
            break
        started_s = time.thread_time()
        if not is_taken(model, larger.make(larger.kind, random)):
            break
        rows = dataclasses.replace(larger, seconds=time.thread_time() - started_s)
    return rows


def is_taken(model: TensorModel, tensors: Arrays) -> bool:
    """Whether a graph runs on these."""
    try:
        model.run(tensors)
    except Exception:  # noqa: BLE001 - of any kind: it does not take such
        return False
    return True
