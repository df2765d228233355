"""Large weights of a graph kept in half precision, where that changes no number."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.halves import LARGE


def halve(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Keep in float16, in place, each large weight whose values float16 has exactly.

    A runtime casts a weight back once, when it loads the graph. Of a table only what is gathered
    from it is cast, so that the table is never there twice.
    """
    body = graph.graph
    uses = Counter(name for node in body.node for name in node.input)
    halved = {tensor.name: tensor for tensor in body.initializer if _halve(tensor)}
    casts: list[onnx.NodeProto] = []
    nodes: list[onnx.NodeProto] = []
    for node in body.node:
        nodes.append(node)
        if node.op_type == "Gather" and node.input[0] in halved and uses[node.input[0]] == 1:
            del halved[node.input[0]]
            (gathered,) = node.output
            node.output[0] = f"{gathered}_half"
            nodes.append(_cast(node.output[0], gathered))
    for name, tensor in halved.items():
        tensor.name = f"{name}_half"
        casts.append(_cast(tensor.name, name))
    del body.node[:]
    body.node.extend(casts + nodes)
    return graph


def widen(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Undo `halve`, in place, for all but gathered tables: weights are float32 initialisers."""
    body = graph.graph
    tensors = {tensor.name: tensor for tensor in body.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in body.node:
        tensor = tensors.get(node.input[0]) if node.op_type == "Cast" else None
        if tensor is None or tensor.data_type != TensorProto.FLOAT16:
            nodes.append(node)
        else:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, node.output[0]))
    del body.node[:]
    body.node.extend(nodes)
    return graph


def _halve(tensor: onnx.TensorProto) -> bool:
    """Whether a tensor was float32 and large, and is float16 now with the same values."""
    if tensor.data_type != TensorProto.FLOAT:
        return False
    values = numpy_helper.to_array(tensor)
    with np.errstate(over="ignore"):  # infinite then, which is not the same
        halves = values.astype(np.float16)
    if values.size < LARGE or not np.array_equal(halves.astype(np.float32), values):
        return False
    tensor.CopyFrom(numpy_helper.from_array(halves, tensor.name))
    return True


def _cast(source: str, target: str) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], f"{target}_cast", to=TensorProto.FLOAT)
