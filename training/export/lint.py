"""The first gate of an export: what a graph must look like before anybody runs it."""

from __future__ import annotations

from collections import Counter

import onnx
from torch import nn

from models.fused import OPERATORS
from models.recurrent import Recurrent
from training.export.graph import OPSET, Axes, Signature

MAX_IR_VERSION = 10
"""The newest file format that every onnxruntime which Seqserve allows can read."""

QUANTISED_OPSETS = {"": OPSET, "com.microsoft": 1}
QUANTISED = {"DynamicQuantizeLSTM": "LSTM", "MatMulIntegerToFloat": "MatMul"}
"""onnxruntime's own operators that a variant may have, and what each stands for."""
COUNTED_AS = {**QUANTISED, "Gemm": "MatMul"}
"""A Gemm is a MatMul with its bias."""

RECURRENT = {*OPERATORS.values(), "DynamicQuantizeLSTM"}
CONTROL_FLOW = {"Loop", "Scan", "If"}
SEQUENCE_LENS = 4
"""Where the recurrent operators take their lengths."""


class ExportError(Exception):
    """Raised when a graph does not pass a gate: which one, where, and by how much."""


def lint(graph: onnx.ModelProto, signature: Signature, model: nn.Module) -> None:
    """Hold a graph against its signature and the recurrent layers of its model.

    Raises:
        ExportError: The first thing found wrong.
    """
    problem = (
        _format_problem(graph, {"": OPSET})
        or _axes_problem("input", graph.graph.input, signature.inputs)
        or _axes_problem("output", graph.graph.output, signature.outputs)
        or _unused_input(graph)
        or _operator_problem(graph, model)
        or _lengths_problem(graph, list(signature.inputs)[1])
    )
    if problem:
        raise ExportError(f"lint: {problem}")


def lint_variant(graph: onnx.ModelProto, original: onnx.ModelProto, lengths: str) -> None:
    """Hold a quantised graph against the one that it comes from.

    Args:
        graph: The quantised one.
        original: What passed `lint`.
        lengths: The name of the input that holds them.
    Raises:
        ExportError: The first thing found wrong.
    """
    inputs, outputs = (
        {value.name: _axes(value) for value in values}
        for values in (original.graph.input, original.graph.output)
    )
    problem = (
        _format_problem(graph, QUANTISED_OPSETS)
        or _axes_problem("input", graph.graph.input, inputs)
        or _axes_problem("output", graph.graph.output, outputs)
        or _unused_input(graph)
        or _quantised_problem(graph, original)
        or _lengths_problem(graph, lengths)
    )
    if problem:
        raise ExportError(f"lint: {problem}")


def _format_problem(graph: onnx.ModelProto, allowed: dict[str, int]) -> str | None:
    opsets = {entry.domain: entry.version for entry in graph.opset_import}
    if opsets != allowed:
        return f"operator sets {opsets}, expected only {allowed}"
    if graph.ir_version > MAX_IR_VERSION:
        return f"IR version {graph.ir_version}, the newest allowed is {MAX_IR_VERSION}"
    if graph.functions:
        return f"function {graph.functions[0].name} is not inlined"
    for tensor in graph.graph.initializer:
        if tensor.external_data:
            return f"weights {tensor.name} lie outside the file"
    return None


def _axes_problem(kind: str, values: object, expected: dict[str, Axes]) -> str | None:
    found = {value.name: _axes(value) for value in values}  # type: ignore[attr-defined]
    if list(found) != list(expected):
        return f"{kind}s are {list(found)}, expected {list(expected)}"
    for name, axes in expected.items():
        if found[name] != axes:
            return f"{kind} {name} has axes {found[name]}, expected {axes}"
    return None


def _axes(value: onnx.ValueInfoProto) -> Axes:
    return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]


def _unused_input(graph: onnx.ModelProto) -> str | None:
    used = {name for node in graph.graph.node for name in node.input}
    unused = [value.name for value in graph.graph.input if value.name not in used]
    return f"nothing reads input {unused[0]}" if unused else None


def _operator_problem(graph: onnx.ModelProto, model: nn.Module) -> str | None:
    kinds = Counter(node.op_type for node in graph.graph.node)
    if control := CONTROL_FLOW & kinds.keys():
        return f"control flow ({', '.join(sorted(control))}); sequences belong in one operator"
    found = {kind: count for kind, count in kinds.items() if kind in RECURRENT}
    expected: Counter[str] = Counter()
    for module in model.modules():
        if isinstance(module, Recurrent):
            expected[OPERATORS[module.cell]] += len(module.layers)
    if found != expected:
        return f"recurrent operators {found}, the model's layers are {dict(expected)}"
    return None


def _quantised_problem(graph: onnx.ModelProto, original: onnx.ModelProto) -> str | None:
    """Each operator of onnxruntime's own must stand for one that the original has."""
    found: Counter[str] = Counter()
    for node in graph.graph.node:
        if node.domain not in ("", "ai.onnx") and node.op_type not in QUANTISED:
            return f"operator {node.domain}.{node.op_type} is none that a variant may have"
        if node.op_type in CONTROL_FLOW:
            return f"control flow ({node.op_type}); sequences belong in one operator"
        found[COUNTED_AS.get(node.op_type, node.op_type)] += 1
    expected = Counter(COUNTED_AS.get(node.op_type, node.op_type) for node in original.graph.node)
    for kind in RECURRENT | {"MatMul"}:
        if found[kind] != expected[kind]:
            return f"{found[kind]} operators for the {expected[kind]} {kind} of the fp32 graph"
    return None


def _lengths_problem(graph: onnx.ModelProto, lengths: str) -> str | None:
    """Every recurrent operator must read the graph's own lengths, cast at most."""
    makers = {name: node for node in graph.graph.node for name in node.output}
    for node in graph.graph.node:
        if node.op_type not in RECURRENT:
            continue
        source = node.input[SEQUENCE_LENS] if len(node.input) > SEQUENCE_LENS else ""
        while source in makers and makers[source].op_type == "Cast":
            source = makers[source].input[0]
        if source != lengths:
            return f"{node.op_type} {node.name} takes its lengths from {source or 'nowhere'!r}"
    return None
