"""Whether requests to a graph may be put together along their first axis: that is tried out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.graphs.checks.ignored import find_ignored
from service.graphs.checks.onnx_file import OnnxFile
from service.graphs.checks.rows import Rows, find_larger, find_numbers, find_rows
from service.graphs.checks.values import (
    TOLERANCES,
    UNLIKE,
    are_alike,
    as_numbers,
    tell_apart,
    usual_scale,
)
from service.graphs.model import Arrays
from service.graphs.spec import Signature, TensorSpec
from service.graphs.tensors import TensorModel

ROWS = 4
ROWS_OF_LABELS = 24
"""The same where an output is no float: labels hide most of what moves them."""
LARGER_AXES = 64
LONGEST_AXES = 512  # tried for what is ignored: no example that a graph is traced with is longer

OF_A_WHOLE_TENSOR = {"DynamicQuantizeLinear", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul"}
"""Operators that round by the largest value of all rows: a neighbour always moves the answer."""


class Seen(NamedTuple):
    """What was seen of a graph when it was tried."""

    obstacle: str
    """Why its requests must run one at a time; empty if each row's answer is its own."""
    signature: Signature
    """Its own, its axes corrected by what was seen."""
    ignored: str
    """What of its inputs changed nothing, though it says that they may be of any size."""


def obstacle_of_operators(file: OnnxFile | None) -> str:
    """What of a graph's operators forbids to run rows together, whatever a trial shows.

    Args:
        file: What its file says; None: it can't be read.
    """
    if file is None:
        return "which operators it has can't be read"
    found = sorted(file.operators & OF_A_WHOLE_TENSOR)
    return f"{', '.join(found)} rounds by the largest value of all rows" if found else ""


def try_out(model: TensorModel) -> Seen:
    """Run a graph on made rows: alone, beside unlike ones, and in another order.

    Args:
        model: To be tried; it is warm afterwards.
    """
    rows = find_rows(model)
    if isinstance(rows, str):
        reason = f"it could not be tried: {rows}"
        return Seen(_said_by_signature(model.signature) or reason, model.signature, "")
    trial = _Trial(model)
    obstacle = _said_by_signature(model.signature) or trial.find_obstacle(rows)
    ignored = find_ignored(trial.run, find_numbers(model, find_larger(model, rows, LONGEST_AXES)))
    return Seen(obstacle, trial.signature(rows), ignored)


def _said_by_signature(signature: Signature) -> str:
    inputs = [spec for spec in signature.inputs if not spec.is_optional]
    for spec in inputs:
        if not spec.has_rank:
            return f"the file does not say how many axes {spec.name} has"
    for spec in (*inputs, *signature.outputs):
        if not spec.shape and spec.has_rank:
            return f"{spec.name} has no axes"
    for spec in inputs:
        if spec.shape[0] != -1:
            return f"the first axis of {spec.name} is always {spec.shape[0]}"
    return "" if inputs else "the graph needs no inputs"


class _Trial:
    """Of one graph; it keeps the shapes that it saw."""

    def __init__(self, model: TensorModel) -> None:
        self._model = model
        self._datatypes = {spec.name: spec.datatype for spec in model.signature.outputs}
        self._shapes: dict[str, set[tuple[int, ...]]] = {name: set() for name in self._datatypes}
        self._random = np.random.default_rng(0)

    def run(self, tensors: Arrays) -> Arrays:
        """Run the graph once."""
        outputs = self._model.run(tensors)
        for name, output in outputs.items():
            self._shapes[name].add(output.shape)
        return {name: as_numbers(it, self._datatypes[name]) for name, it in outputs.items()}

    def find_obstacle(self, rows: Rows) -> str:
        """Why its requests must run one at a time."""
        larger = find_larger(self._model, rows, LARGER_AXES)
        for each in [rows] if larger is rows else [rows, larger]:
            if reason := self._compare(find_numbers(self._model, each)):
                return reason
        return ""

    def signature(self, rows: Rows) -> Signature:
        """The graph's, its axes corrected by what was seen."""
        ranked = {spec.name: spec for spec in rows.inputs}
        inputs = tuple(ranked.get(spec.name, spec) for spec in self._model.signature.inputs)
        outputs = tuple(
            spec._replace(shape=_seen_shape(spec, sorted(self._shapes[spec.name])))
            for spec in self._model.signature.outputs
        )
        return Signature(inputs, outputs)

    def _compare(self, rows: Rows) -> str:
        """Each row alone with the same beside others."""
        taken, alone = self._alone(rows)
        if len(taken) < 2:
            return "it could not be tried: it takes next to none of the rows that were made"
        unsteady: set[int] = set()
        all_rows = list(range(len(taken)))
        for order in (all_rows, all_rows[::-1], all_rows[: len(all_rows) // 2]):
            batch = {name: np.concatenate([taken[row][name] for row in order]) for name in taken[0]}
            try:
                together = self.run(batch)
            except Exception as error:  # noqa: BLE001 - of any kind: it does not take such a batch
                return f"it takes no batch: {str(error).splitlines()[0]}"
            for name, output in together.items():
                if output.ndim == 0 or len(output) != len(order):
                    return f"{name} has not one row for each of the inputs'"
                for place in self._different(name, [alone[row][name] for row in order], output):
                    row = order[place]
                    if self._is_steady(rows, taken[row], alone[row]):
                        return f"a row of {name} depends on the other rows"
                    unsteady.add(row)
        if name := self._changed_by_nan(taken, alone, unsteady):
            return f"a row of {name} depends on the other rows where these are NaN"
        return self._not_shown([alone[row] for row in all_rows if row not in unsteady])

    def _changed_by_nan(
        self, taken: Sequence[Arrays], alone: Sequence[Arrays], unsteady: set[int]
    ) -> str:
        """An output that a neighbour without finite numbers changes, as 0 times NaN is NaN."""
        if not any(row.dtype.kind == "f" for row in taken[0].values()):
            return ""
        nan = {
            name: np.full_like(row, np.nan) if row.dtype.kind == "f" else row
            for name, row in taken[0].items()
        }
        batch = {name: np.concatenate([*(row[name] for row in taken), nan[name]]) for name in nan}
        try:
            together = self.run(batch)
        except Exception:  # noqa: BLE001 - of any kind: what fails together is run one by one
            return ""
        for name, output in together.items():
            own = [answer[name] for answer in alone]
            if not unsteady.issuperset(self._different(name, own, output[:-1])):
                return name
        return ""

    def _alone(self, rows: Rows) -> tuple[list[Arrays], list[Arrays]]:
        """Made rows that the graph takes, and its answers to each."""
        has_labels = any(it not in TOLERANCES for it in self._datatypes.values())
        ordinary = [rows.kind] * (ROWS_OF_LABELS if has_labels else ROWS)
        # unlike ones in both halves: each half has other neighbours than the whole
        kinds = [*ordinary[::2], *UNLIKE[:3], *ordinary[1::2], "normal", *UNLIKE[3:]]
        taken, alone = [], []
        for row in (rows.make(kind, self._random) for kind in kinds):
            try:
                answer = self.run(row)
            except Exception:  # noqa: BLE001 - of any kind: it does not take such numbers
                continue
            taken.append(row)
            alone.append(answer)
        return taken, alone

    def _different(
        self, name: str, alone: Sequence[NDArray[Any]], together: NDArray[Any]
    ) -> Iterator[int]:
        """Rows of an output that company changed."""
        tolerance, scale = TOLERANCES.get(self._datatypes[name], 0.0), usual_scale(alone)
        for place, own in enumerate(alone):
            if not are_alike(own, together[place : place + 1], tolerance, scale):
                yield place

    def _is_steady(self, rows: Rows, row: Arrays, answer: Arrays) -> bool:
        """Whether rounding leaves an answer as it is: else company may only seem to change it."""
        try:
            again = self.run(rows.nudged(row, self._random))
        except Exception:  # noqa: BLE001 - of any kind: it is at the edge of what the graph takes
            return False
        return all(
            are_alike(
                answer[name],
                again[name],
                TOLERANCES.get(datatype, 0.0),
                usual_scale([answer[name]]),
            )
            for name, datatype in self._datatypes.items()
        )

    def _not_shown(self, answers: Sequence[Arrays]) -> str:
        for name, datatype in self._datatypes.items():
            own = [answer[name] for answer in answers]
            if not tell_apart(own, TOLERANCES.get(datatype, 0.0), usual_scale(own)):
                return f"that {name} is a row's own was not shown: all that was tried is alike"
        return ""


def _seen_shape(spec: TensorSpec, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """A shape that all are of, as near to what the file says as can be."""
    if len({len(shape) for shape in shapes}) != 1:
        return spec.shape
    said = spec.shape if len(spec.shape) == len(shapes[0]) else shapes[0]
    return tuple(
        size if set(found) == {size} else -1
        for size, found in zip(said, zip(*shapes, strict=True), strict=True)
    )
