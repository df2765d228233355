"""The repository that the protocol is tried with: a graph for each datatype, and a few others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from tests.any_onnx.made import graph, identity, one_node, tensor, write
from tests.http.made import copy_bundle

ONNX = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "BF16": TensorProto.BFLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}
"""ONNX's name of each datatype."""

LABELLED, EXPLAINING = "digits-lstm", "digits-attention"


def identity_of(datatype: str, num_axes: int = 2) -> str:
    """The model whose `y` is `x`, of this datatype and so many axes of any size."""
    return f"{datatype.lower()}-{num_axes}"


def write_repository(folder: Path) -> None:
    """Write all models."""
    for datatype, onnx_type in ONNX.items():
        for num_axes in (0, 1, 2):
            axes = [f"axis_{axis}" for axis in range(num_axes)]
            write(folder, identity_of(datatype, num_axes), identity(onnx_type, axes))
    write(folder, "log", one_node("Log", ["n"], ["n"]))  # NaN below 0, infinite at 0
    write(folder, "fixed", one_node("Neg", [2, 3], [2, 3]))
    write(folder, "rows", one_node("Neg", ["n", 3], ["n", 3]))
    sum_node = helper.make_node("Add", ["a", "b"], ["y"])
    both = [tensor("a", ["n", 3]), tensor("b", ["n", 3])]
    write(folder, "sum", graph([sum_node], both, [tensor("y", ["n", 3])]))
    shared = helper.make_node("Add", ["x", "offset"], ["y"])
    write(
        folder,
        "offset",
        graph(
            [shared],
            [tensor("x", ["n", "m"]), tensor("offset", [1])],
            [tensor("y", ["n", "m"])],
            offset=np.ones(1, np.float32),
        ),
    )
    copy_bundle(LABELLED, folder)
    copy_bundle(EXPLAINING, folder)
