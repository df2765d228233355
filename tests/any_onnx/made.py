"""Small ONNX graphs as other tools make them, and the folders that they are served from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from service.manifest import GRAPH_FILE, MANIFEST_FILE

HIDDEN, FEATURES = 5, 3
Shape = Sequence[int | str]


def tensor(name: str, shape: Shape, datatype: int = TensorProto.FLOAT) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, datatype, list(shape))


def graph(
    nodes: list[NodeProto],
    inputs: list[ValueInfoProto],
    outputs: list[ValueInfoProto],
    **constants: NDArray[Any],
) -> onnx.ModelProto:
    """A checked model of these nodes; constants by name."""
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    made = helper.make_graph(nodes, "made", inputs, outputs, initializers)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def one_node(kind: str, shape: Shape, out: Shape, **attributes: Any) -> onnx.ModelProto:
    """`y` is one operator of `x`."""
    node = helper.make_node(kind, ["x"], ["y"], **attributes)
    return graph([node], [tensor("x", shape)], [tensor("y", out)])


def linear(weights: NDArray[np.float32]) -> onnx.ModelProto:
    """`y` (n, out) is `x` (n, in) times the weights."""
    width, out = weights.shape
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    return graph([node], [tensor("x", ["n", width])], [tensor("y", ["n", out])], w=weights)


def identity(datatype: int, shape: Shape = ("n", 3)) -> onnx.ModelProto:
    """`y` is `x`."""
    node = helper.make_node("Identity", ["x"], ["y"])
    return graph([node], [tensor("x", shape, datatype)], [tensor("y", shape, datatype)])


def weights() -> dict[str, NDArray[np.float32]]:
    """Of one LSTM layer, as ONNX has them."""
    random = np.random.default_rng(1)
    shapes = {"W": (1, 4 * HIDDEN, FEATURES), "R": (1, 4 * HIDDEN, HIDDEN)}
    return {
        name: (0.4 * random.standard_normal(shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


def keras_lstm(batch: int | str = "n") -> onnx.ModelProto:
    """An LSTM as Keras has it: batch first, states (batch, units), all its hidden states and the
    last one out; no lengths."""
    squeeze = {"axis_0": np.array([0]), "axis_1": np.array([1])}
    node = helper.make_node
    nodes = [
        node("Transpose", ["x"], ["x_time_first"], perm=[1, 0, 2]),
        node("Unsqueeze", ["h", "axis_0"], ["h_layer"]),
        node("Unsqueeze", ["c", "axis_0"], ["c_layer"]),
        node(
            "LSTM",
            ["x_time_first", "W", "R", "", "", "h_layer", "c_layer"],
            ["all_layer", "h_last", "c_last"],
            hidden_size=HIDDEN,
        ),
        node("Squeeze", ["all_layer", "axis_1"], ["all"]),
        node("Transpose", ["all"], ["y"], perm=[1, 0, 2]),
        node("Squeeze", ["h_last", "axis_0"], ["h_out"]),
        node("Squeeze", ["c_last", "axis_0"], ["c_out"]),
        node("Identity", ["h_out"], ["last"]),
    ]
    state: Shape = [batch, HIDDEN]
    return graph(
        nodes,
        [tensor("x", [batch, "time", FEATURES]), tensor("h", state), tensor("c", state)],
        [
            tensor("y", [batch, "time", HIDDEN]), tensor("last", state),
            tensor("h_out", state), tensor("c_out", state),
        ],
        **weights(), **squeeze,
    )  # fmt: skip


def torch_lstm() -> onnx.ModelProto:
    """An LSTM as PyTorch has it by default: time first, states (layers, batch, hidden)."""
    nodes = [
        helper.make_node(
            "LSTM", ["x", "W", "R", "", "", "h", "c"], ["all", "h_out", "c_out"],
            hidden_size=HIDDEN,
        ),
        helper.make_node("Squeeze", ["all", "axis_1"], ["y"]),
    ]  # fmt: skip
    state: Shape = [1, "n", HIDDEN]
    return graph(
        nodes,
        [tensor("x", ["time", "n", FEATURES]), tensor("h", state), tensor("c", state)],
        [tensor("y", ["time", "n", HIDDEN]), tensor("h_out", state), tensor("c_out", state)],
        axis_1=np.array([1]), **weights(),
    )  # fmt: skip


STATES = [{"input": "h", "output": "h_out"}, {"input": "c", "output": "c_out"}]
KERAS: dict[str, Any] = {"inputs": {"name": "x"}, "state": STATES}
TORCH: dict[str, Any] = {"inputs": {"name": "x", "time_axis": 0}, "state": STATES}


def lstm_reference(steps: NDArray[np.float32]) -> NDArray[np.float64]:
    """The hidden states (time, hidden) after each step (time, features): the operator's equations.

    ONNX operator LSTM, gates in the order i, o, f, c.
    """
    w, r = (weights()[name][0].astype(np.float64) for name in "WR")
    hidden = cell = np.zeros(HIDDEN)
    states = []
    for step in steps:
        i, o, f, c = np.split(w @ step + r @ hidden, 4)
        cell = _sigmoid(f) * cell + _sigmoid(i) * np.tanh(c)
        hidden = _sigmoid(o) * np.tanh(cell)
        states.append(hidden)
    return np.array(states)


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-values))


def write(
    repository: Path, name: str, model: onnx.ModelProto, description: Any = None, **options: Any
) -> Path:
    """Write one version's folder, with a `model.json` if there is a description; returns it."""
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    onnx.save(model, folder / GRAPH_FILE, **options)
    if description is not None:
        (folder / MANIFEST_FILE).write_text(json.dumps(description))
    return folder


def steals(location: str) -> bytes:
    """A graph whose weights are said to lie in this file."""
    weights = TensorProto(name="w", dims=[4], data_type=TensorProto.FLOAT)
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        entry = weights.external_data.add()
        entry.key, entry.value = key, value
    node = helper.make_node("Add", ["x", "w"], ["y"])
    made = helper.make_graph(
        [node], "made", [tensor("x", ["n", 4])], [tensor("y", ["n", 4])], [weights]
    )
    opsets = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(made, opset_imports=opsets, ir_version=8).SerializeToString())
