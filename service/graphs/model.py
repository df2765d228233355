"""A graph that runs on sequences, held against what it should take and answer."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from service.datatypes import DATATYPES, ONNX_TYPES
from service.errors import BundleError
from service.graphs.runs import run_graph
from service.graphs.spec import SequenceSpec

Arrays = dict[str, NDArray[Any]]
"""Tensors by name, axis 0 the batch."""


class Model(Protocol):
    """What a scheduler needs of a model of sequences; tests bring fakes of this shape."""

    @property
    def spec(self) -> SequenceSpec:
        """What it takes and answers."""

    def run(self, inputs: NDArray[Any], lengths: NDArray[np.int64], state: Arrays) -> Arrays:
        """Run one batch."""


class OnnxModel:
    """A session that runs batches of sequences; several engine threads may run it at a time.

    Args:
        session: Of the graph.
        spec: What it should take and answer.

    Raises:
        BundleError: Its signature is another.
    """

    def __init__(self, session: onnxruntime.InferenceSession, spec: SequenceSpec) -> None:
        self.session = session
        self.spec = spec
        self._outputs = [
            *(output.name for output in spec.outputs),
            *(state.output for state in spec.state),
        ]
        self._check_signature()

    def run(self, inputs: NDArray[Any], lengths: NDArray[np.int64], state: Arrays) -> Arrays:
        """Run one batch.

        Args:
            inputs: (batch, time, *step_shape).
            lengths: int64 (batch,), 1 to time.
            state: By the graph's input names, each float32 (batch, *shape).

        Returns:
            Outputs and new state, by the graph's names.
        """
        feed: Arrays = {self.spec.inputs: inputs, self.spec.lengths: lengths, **state}
        return dict(
            zip(self._outputs, run_graph(self.session.run, self._outputs, feed), strict=True)
        )

    def _check_signature(self) -> None:
        spec = self.spec
        found = {i.name: (i.type, i.shape) for i in self.session.get_inputs()}
        wanted: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {
            spec.inputs: (spec.dtype, spec.step_shape),
            spec.lengths: (np.dtype(np.int64), ()),
            **{state.input: (np.dtype(np.float32), state.shape) for state in spec.state},
        }
        if found.keys() != wanted.keys():
            raise BundleError(
                f"the graph's inputs are {sorted(found)}, the manifest's {sorted(wanted)}"
            )
        for name, (dtype, fixed) in wanted.items():
            has_type, shape = found[name]
            symbolic = shape[: len(shape) - len(fixed)]
            has_dtype = DATATYPES.get(ONNX_TYPES.get(has_type, ""))
            if has_dtype != dtype or shape[len(symbolic) :] != list(fixed):
                raise BundleError(f"the graph's input {name} is {has_type} {shape}, not {dtype}")
            if any(isinstance(axis, int) for axis in symbolic):
                raise BundleError(f"the graph's input {name} has a frozen axis: {shape}")
        missing = set(self._outputs) - {o.name for o in self.session.get_outputs()}
        if missing:
            raise BundleError(f"the graph has no output {', '.join(sorted(missing))}")


def check_outputs(spec: SequenceSpec, outputs: Arrays, batch_size: int, num_steps: int) -> None:
    """Hold a run's outputs against the spec, before an answer is cut from them.

    Raises:
        ValueError: One is missing or has another type or shape than it should.
    """
    for output in spec.outputs:
        _check_output(outputs, output.name, output.axes(batch_size, num_steps), output.dtype)
    for state in spec.state:
        _check_output(outputs, state.output, (batch_size, *state.shape), np.dtype(np.float32))


def _check_output(outputs: Arrays, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    output = outputs.get(name)
    if output is None or output.shape != shape:
        found = None if output is None else output.shape
        raise ValueError(f"output {name} has shape {found}, not {shape}")
    if output.dtype != dtype:
        raise ValueError(f"output {name} is {output.dtype}, not {dtype}")
