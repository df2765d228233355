"""A graph that runs on whole tensors: any that onnxruntime loads."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Collection
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from service.datatypes import ONNX_TYPES
from service.errors import BundleError
from service.graphs.model import Arrays
from service.graphs.runs import run_graph
from service.graphs.spec import Signature, TensorSpec

BF16_ELEMENT = 16  # onnx.TensorProto.BFLOAT16


class TensorModel:
    """A session with the signature of its graph; several engine threads may run it at a time.

    Args:
        session: Of the graph.
        outputs: Those that are asked for; None: all.
        unranked: Inputs and outputs that its file gives no number of axes: onnxruntime says
            the same of them as of those that have none.

    Raises:
        BundleError: An input is no tensor, or no output is one.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        outputs: Collection[str] | None = None,
        unranked: Collection[str] = (),
    ) -> None:
        self.session = session
        nodes = session.get_outputs()
        wanted = [_spec(it, unranked) for it in nodes if outputs is None or it.name in outputs]
        kept = tuple(output for output in wanted if output.datatype in ONNX_TYPES.values())
        self.left_out = [output for output in wanted if output not in kept]
        """Outputs that are no tensors, such as maps: no protocol has a form for them."""
        if not kept:
            raise BundleError("the graph has no output that is a tensor")
        inputs = [_spec(node, unranked) for node in session.get_inputs()]
        for node in inputs:
            if node.datatype not in ONNX_TYPES.values():
                raise BundleError(f"the graph's input {node.name} is a {node.datatype}, no tensor")
        defaults = [_spec(node, (), True) for node in session.get_overridable_initializers()]
        self.signature = Signature((*inputs, *defaults), kept)
        self._names = [output.name for output in kept]
        self._has_bf16 = any(it.datatype == "BF16" for it in (*inputs, *defaults, *kept))

    def run(self, tensors: Arrays) -> Arrays:
        """Run the graph once.

        Args:
            tensors: Its inputs by name; optional ones may be left out.

        Returns:
            Its outputs by name.

        Raises:
            OutOfMemoryError: It needs more memory than there is.
            Exception: onnxruntime's own, of a graph that can't take these.
        """
        if self._has_bf16:
            outputs = self._run_bf16(self._names, tensors)
        else:
            outputs = run_graph(self.session.run, self._names, tensors)
        return dict(zip(self._names, outputs, strict=True))

    def _run_bf16(self, names: list[str], tensors: Arrays) -> list[Any]:
        """As `session.run`, where NumPy has no type for a tensor: its bits travel as uint16."""
        make = onnxruntime.OrtValue
        datatypes = {spec.name: spec.datatype for spec in self.signature.inputs}
        values = {
            name: make.ortvalue_from_numpy_with_onnx_type(array, BF16_ELEMENT)
            if datatypes[name] == "BF16"
            else make.ortvalue_from_numpy(array)
            for name, array in tensors.items()
        }
        outputs = run_graph(self.session.run_with_ort_values, names, values)
        return list(map(_array, outputs))


def _array(value: onnxruntime.OrtValue) -> NDArray[Any]:
    if value.element_type() != BF16_ELEMENT:
        array: NDArray[Any] = value.numpy()
        return array
    shape = value.shape()
    size = math.prod(shape)
    if not size:
        return np.zeros(shape, np.uint16)
    bits = (ctypes.c_uint16 * size).from_address(value.data_ptr())
    return np.array(bits, np.uint16).reshape(shape)


def _spec(node: Any, unranked: Collection[str], is_optional: bool = False) -> TensorSpec:
    shape = tuple(axis if isinstance(axis, int) else -1 for axis in node.shape or ())
    datatype = ONNX_TYPES.get(node.type, node.type)
    return TensorSpec(node.name, datatype, shape, is_optional, node.name not in unranked)
