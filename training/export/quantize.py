"""An fp32 graph to an int8 one whose answers depend on no neighbour in the batch.

Dynamic quantisation takes one scale for a whole tensor, all rows of a batch together: a neighbour
with large values would coarsen everybody's. So no scale here depends on what comes in:

- a MatMul or Gemm with weights reads its input in a fixed range, found by calibration;
- onnxruntime's LSTM takes the range of what it is given, at every step. It is given sentinels: two
  input columns that hold the ends of the calibrated range, and two hidden units that stay at -1
  and 1 (their forget gate open, their input gate shut). No weight reads either, so they change
  nothing but the range, which is now always the same; what lies outside is clipped.

Weights have 7 bits: without VNNI, products of 8-bit activations and 8-bit weights saturate in
pairs, and answers would depend on the machine. A MatMul's have a scale for each column; an LSTM's
may have one for each matrix instead, which is faster and coarser.

onnxruntime has no int8 GRU or RNN: they stay as they are. So does a head's Gemm, which has one row
a sequence: nothing to gain, and what comes out is the answer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from training.export.graph import strip

DOMAIN = "com.microsoft"
DOMAIN_VERSION = 1
LARGEST_WEIGHT = 63
LEVELS = 255
SATURATED = 30.0
"""At and beyond this, sigmoid is 0 or 1 and tanh is -1 or 1 in float32."""
GATES = 4  # of an LSTM, in ONNX's order: input, output, forget, cell
SENTINELS = 2
HEAD_WEIGHTS = "model.head."
"""How the names of a head's weights begin."""

Range = tuple[float, float]
"""The smallest and the largest value that a tensor is to hold."""


def quantisable(graph: onnx.ModelProto) -> list[str]:
    """The tensors whose ranges `quantize` needs; none if nothing in the graph has an int8 form."""
    matrices = _matrices(graph)
    return [node.input[0] for node in graph.graph.node if _is_target(node, matrices)]


def quantize(
    graph: onnx.ModelProto, ranges: dict[str, Range], *, by_column: bool = True
) -> onnx.ModelProto:
    """The int8 form of a graph; the same inputs and outputs.

    Args:
        graph: As `export_graph` makes it.
        ranges: Of every tensor that `quantisable` names; each holds 0.
        by_column: A scale for each column of an LSTM's weights too.
    """
    rewriter = _Rewriter(graph, by_column)
    matrices = _matrices(graph)
    for node in graph.graph.node:
        if not _is_target(node, matrices):
            rewriter.nodes.append(node)
        elif node.op_type == "LSTM":
            rewriter.lstm(node, ranges[node.input[0]])
        else:
            rewriter.matmul(node, ranges[node.input[0]])
    return rewriter.finish()


def quantize_columns(
    weights: NDArray[np.float32], *, by_column: bool = True
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Weights (..., inputs, outputs) as int8, and a scale (..., outputs) for each column

    or, if not `by_column`, (...) for each matrix.
    """
    axes = -2 if by_column else (-2, -1)
    scales = np.abs(weights).max(axis=axes, keepdims=True) / LARGEST_WEIGHT
    scales = np.where(scales == 0, 1, scales).astype(np.float32)
    return np.rint(weights / scales).astype(np.int8), scales.squeeze(axes)


def input_scale(low: float, high: float) -> tuple[np.float32, np.uint8]:
    """Scale and zero point of uint8 values for a range that holds 0."""
    scale = np.float32((high - low) / LEVELS)
    return scale, np.uint8(np.clip(np.rint(-low / scale), 0, LEVELS))


def _matrices(graph: onnx.ModelProto) -> set[str]:
    return {tensor.name for tensor in graph.graph.initializer if len(tensor.dims) == 2}


def _is_target(node: onnx.NodeProto, matrices: set[str]) -> bool:
    if node.op_type == "LSTM":
        return True
    is_head = node.op_type == "Gemm" and node.input[1].startswith(HEAD_WEIGHTS)
    return node.op_type in ("MatMul", "Gemm") and node.input[1] in matrices and not is_head


class _Rewriter:
    """The new graph as it grows.

    Args:
        graph: The fp32 one; not changed.
        by_column: How an LSTM's weights are scaled.
    """

    def __init__(self, graph: onnx.ModelProto, by_column: bool) -> None:
        self._by_column = by_column
        self.graph = onnx.ModelProto()
        self.graph.CopyFrom(graph)
        self.nodes: list[onnx.NodeProto] = []
        self._values = {tensor.name: tensor for tensor in self.graph.graph.initializer}
        self._used = {name for node in graph.graph.node for name in node.input}
        self._used |= {output.name for output in graph.graph.output}
        self._makers = {name: node for node in graph.graph.node for name in node.output}
        self._made: set[str] = set()

    def finish(self) -> onnx.ModelProto:
        """The graph, without the nodes and weights that nothing reads any more."""
        read = {output.name for output in self.graph.graph.output}
        nodes: list[onnx.NodeProto] = []
        for node in reversed(self.nodes):
            if read.intersection(node.output):
                nodes.insert(0, node)
                read.update(node.input)
        del self.graph.graph.node[:], self.graph.graph.initializer[:]
        self.graph.graph.node.extend(nodes)
        kept = [tensor for name, tensor in self._values.items() if name in read]
        self.graph.graph.initializer.extend(kept)
        self.graph.opset_import.append(helper.make_opsetid(DOMAIN, DOMAIN_VERSION))
        return strip(self.graph)

    def matmul(self, node: onnx.NodeProto, limits: Range) -> None:
        """A MatMul or Gemm with weights, its input in a fixed range."""
        name = node.output[0]
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        weights = self._value(node.input[1])
        weights, scales = quantize_columns(weights.T if attributes.get("transB") else weights)
        scale, zero = input_scale(*limits)
        of_input = [self._add(f"{name}.scale", scale), self._add(f"{name}.zero", zero)]
        quantized = self._node("QuantizeLinear", [node.input[0], *of_input], f"{name}.uint8")
        parts = [
            quantized,
            self._add(f"{name}.weights", weights),
            of_input[0],
            self._add(f"{name}.weights_scale", scales),
            of_input[1],
            self._add(f"{name}.weights_zero", np.zeros_like(scales, dtype=np.int8)),
            *node.input[2:],  # a Gemm's bias
        ]
        self._node("MatMulIntegerToFloat", parts, name, domain=DOMAIN)

    def lstm(self, node: onnx.NodeProto, limits: Range) -> None:
        """An LSTM with its sentinels.

        Its inputs are: steps (time, batch, inputs), weights (directions, 4 * hidden, inputs),
        recurrent weights, biases, lengths, and hidden and cell state (directions, batch, hidden)
        if it goes on from one.
        """
        name = node.output[0]
        of_inputs, of_hidden, biases = (self._value(part) for part in node.input[1:4])
        directions, _, hidden_size = of_hidden.shape
        hidden, cell = [*node.input[5:7], "", ""][:2]
        steps, of_inputs = self._steps(node.input[0], of_inputs, limits)
        shape = self._state_shape(node.input[4], directions)
        weights, scales = self._lstm_weights(name, of_inputs, of_hidden)
        parts = [
            steps,
            *weights,
            self._lstm_biases(name, biases.reshape(directions, 2 * GATES, hidden_size)),
            node.input[4],
            self._state("hidden", hidden, (-1.0, 1.0), hidden_size, shape),
            self._state("cell", cell, (-SATURATED, SATURATED), hidden_size, shape),
            "",  # no peepholes
            *scales,
        ]
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        attributes["hidden_size"] = hidden_size + SENTINELS
        wide = [f"{output}.wide" if output in self._used else "" for output in node.output]
        self._node("DynamicQuantizeLSTM", parts, *wide, domain=DOMAIN, **attributes)
        bounds = [
            self._add("lstm.first", np.array([0])),
            self._add(f"lstm.end_{hidden_size}", np.array([hidden_size])),
            self._add("lstm.last_axis", np.array([-1])),
        ]
        for output, source in zip(node.output, wide, strict=True):
            if source:
                self._node("Slice", [source, *bounds], output)

    def _steps(
        self, name: str, weights: NDArray[np.float32], limits: Range
    ) -> tuple[str, NDArray[np.float32]]:
        """What an LSTM reads, (time, batch, inputs), and its weights: both with their sentinels."""
        reshape = self._makers.get(name)
        transpose = self._makers.get(reshape.input[0]) if reshape else None
        below = self._makers.get(transpose.input[0]) if transpose else None
        if reshape is None or transpose is None or below is None or below.op_type != "LSTM":
            return self._with_ends(name, limits), np.pad(weights, ((0, 0), (0, 0), (0, SENTINELS)))
        # it stands on an LSTM: that one's hidden units bring their sentinels along
        directions, _, hidden_size = self._value(below.input[2]).shape
        parted = weights.reshape(*weights.shape[:2], directions, hidden_size)
        widened = np.pad(parted, ((0, 0), (0, 0), (0, 0), (0, SENTINELS)))
        widened = widened.reshape(*weights.shape[:2], -1)
        attributes = {item.name: helper.get_attribute_value(item) for item in transpose.attribute}
        source = f"{transpose.input[0]}.wide"
        outputs = self._node("Transpose", [source], f"{name}.parted", **attributes)
        shape = self._add(f"{name}.shape", np.array([0, 0, widened.shape[2]]))  # 0: as it is
        return self._node("Reshape", [outputs, shape], f"{name}.wide"), widened

    def _with_ends(self, name: str, limits: Range) -> str:
        """Steps clipped, with two columns that hold the range's ends."""
        low, high = (np.float32(limit) for limit in limits)
        bounds = [self._add(f"{name}.low", low), self._add(f"{name}.high", high)]
        clipped = self._node("Clip", [name, *bounds], f"{name}.clipped")
        axes = self._node("Shape", [name], f"{name}.axes", start=0, end=2)
        one = self._add("lstm.one", np.array([1]))
        shape = self._node("Concat", [axes, one], f"{name}.shape", axis=0)
        ends = self._add(f"{name}.ends", np.array([[[low, high]]]))
        columns = self._node("Expand", [ends, shape], f"{name}.columns")
        return self._node("Concat", [clipped, columns], f"{name}.wide", axis=2)

    def _state_shape(self, lengths: str, directions: int) -> str:
        """The shape (directions, batch, 1)."""
        rows = self._node("Shape", [lengths], "lstm.rows")
        axes = [
            self._add(f"lstm.directions_{directions}", np.array([directions])),
            rows,
            self._add("lstm.one", np.array([1])),
        ]
        return self._node("Concat", axes, f"lstm.shape_{directions}", axis=0)

    def _state(self, kind: str, carried: str, ends: Range, hidden_size: int, shape: str) -> str:
        """State (directions, batch, hidden + 2): as carried or zeros, then the sentinels'."""
        zeros = 0 if carried else hidden_size
        first = self._add(f"lstm.{kind}_{zeros}", np.array([[[0.0] * zeros + [*ends]]], np.float32))
        start = self._node("Expand", [first, shape], f"{shape}.{kind}_{zeros}")
        if not carried:
            return start
        return self._node("Concat", [carried, start], f"{carried}.wide", axis=2)

    def _lstm_weights(
        self, name: str, of_inputs: NDArray[np.float32], of_hidden: NDArray[np.float32]
    ) -> tuple[list[str], list[str]]:
        """Names of both weights (directions, inputs, 4 * hidden), and of their scales and zeros."""
        directions, _, hidden_size = of_hidden.shape
        names: list[str] = []
        scale_names: list[str] = []
        of_hidden = np.pad(of_hidden, ((0, 0), (0, 0), (0, SENTINELS)))  # zeros: none is read
        for kind, weights in (("inputs", of_inputs), ("hidden", of_hidden)):
            gates = weights.reshape(directions, GATES, hidden_size, -1)
            more = ((0, 0), (0, 0), (0, SENTINELS), (0, 0))
            wide = np.pad(gates, more).reshape(directions, GATES * (hidden_size + SENTINELS), -1)
            columns, scales = quantize_columns(wide.transpose(0, 2, 1), by_column=self._by_column)
            zeros = np.zeros_like(scales, dtype=np.int8)
            names.append(self._add(f"{name}.{kind}.weights", columns))
            scale_names.append(self._add(f"{name}.{kind}.scale", scales))
            scale_names.append(self._add(f"{name}.{kind}.zero", zeros))
        return names, scale_names

    def _lstm_biases(self, name: str, biases: NDArray[np.float32]) -> str:
        """Biases (directions, 2 * 4, hidden), widened so that the sentinels' cells stay."""
        wide = np.pad(biases, ((0, 0), (0, 0), (0, SENTINELS)))
        for gate, value in enumerate((-SATURATED, SATURATED, SATURATED)):  # input, output, forget
            wide[:, gate, -SENTINELS:] = value
        return self._add(f"{name}.biases", wide.reshape(len(wide), -1))

    def _value(self, name: str) -> NDArray[Any]:
        return numpy_helper.to_array(self._values[name])

    def _add(self, name: str, value: Any) -> str:
        self._values[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def _node(self, kind: str, inputs: list[str], *outputs: str, **attributes: Any) -> str:
        name = next(filter(None, outputs))
        if name in self._made:  # several LSTMs share it
            return outputs[0]
        self._made.add(name)
        self.nodes.append(helper.make_node(kind, inputs, list(outputs), name=name, **attributes))
        return outputs[0]
