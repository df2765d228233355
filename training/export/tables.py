"""Large tables of a graph kept in half precision, where that changes no number."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.tables import LARGE


def halve_tables(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Keep in float16, in place, each large table whose values float16 has exactly.

    Only what is gathered from it is cast back, so the table is never there twice.
    """
    body = graph.graph
    uses = Counter(name for node in body.node for name in node.input)
    tables = {tensor.name: tensor for tensor in body.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in body.node:
        nodes.append(node)
        table = tables.get(node.input[0]) if node.op_type == "Gather" else None
        if table is None or uses[table.name] > 1 or table.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(table)
        halves = values.astype(np.float16)
        if values.size < LARGE or not np.array_equal(halves.astype(np.float32), values):
            continue
        table.CopyFrom(numpy_helper.from_array(halves, table.name))
        (gathered,) = node.output
        node.output[0] = f"{gathered}_half"
        nodes.append(
            helper.make_node(
                "Cast", [node.output[0]], [gathered], f"{node.name}_cast", to=TensorProto.FLOAT
            )
        )
    del body.node[:]
    body.node.extend(nodes)
    return graph
