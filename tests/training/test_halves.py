"""Large weights are kept in half the bytes only where that changes no number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import parser

from models.halves import LARGE, round_weights
from training.export.halves import halve, widen

WIDTH = 50
NUM_ROWS = LARGE // WIDTH

Floats = NDArray[np.float32]

GRAPHS = {
    "gathered": "float[n, w] y) { rows = Gather (table, ids)  y = Neg (rows) }",
    "added": "float[n, w] y) { y = Add (table, table) }",
    "gathered twice": (
        "float[n, w] y) { a = Gather (table, ids)  b = Gather (table, ids)  y = Add (a, b) }"
    ),
}
ANSWERS: dict[str, Callable[[Floats], Floats]] = {
    "gathered": lambda table: -table,
    "added": lambda table: table + table,
    "gathered twice": lambda table: table + table,
}


def graph_of(kind: str, table: Floats) -> onnx.ModelProto:
    model = parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : 20]> g (int64[n] ids) => ({GRAPHS[kind]}'
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(table, "table"))
    return model


def answer(model: onnx.ModelProto) -> Floats:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found: Floats = session.run(None, {"ids": np.arange(NUM_ROWS)})[0]
    return found


@pytest.mark.parametrize("rounded", [True, False])
@pytest.mark.parametrize("kind", GRAPHS)
def test_a_weight_is_halved_if_it_stays_what_it_is(kind: str, rounded: bool) -> None:
    embedding = torch.nn.Embedding(NUM_ROWS, WIDTH)
    if rounded:
        round_weights(embedding)
    table = embedding.weight.detach().numpy()
    model = graph_of(kind, table.copy())
    before = model.ByteSize()
    halve(model)
    onnx.checker.check_model(model)
    assert (answer(model) == ANSWERS[kind](table)).all()
    assert model.ByteSize() / before == pytest.approx(0.5 if rounded else 1.0, abs=0.02)


@pytest.mark.parametrize("kind", ["added", "gathered twice"])
def test_widening_gives_the_graph_back(kind: str) -> None:
    table = np.arange(NUM_ROWS * WIDTH, dtype=np.float32).reshape(NUM_ROWS, WIDTH) % 1_024
    model = graph_of(kind, table)
    was = onnx.ModelProto()
    was.CopyFrom(model)
    assert halve(model) != was
    assert widen(model) == was


def test_what_half_precision_can_not_hold_stays() -> None:
    table = np.full((NUM_ROWS, WIDTH), 1e6, np.float32)
    model = graph_of("added", table)
    halve(model)
    assert (answer(model) == 2e6).all()


def test_rounding_is_to_the_nearest_half_and_of_large_weights_alone() -> None:
    large, small = torch.nn.Linear(NUM_ROWS, WIDTH), torch.nn.Embedding(10, WIDTH)
    was = [module.weight.detach().clone() for module in (large, small)]
    round_weights(torch.nn.ModuleList([large, small]))
    assert (small.weight == was[1]).all()
    error = (large.weight.detach() - was[0]).abs() / was[0].abs().clamp(min=2**-14)
    assert 0 < float(error.max()) <= 2**-11
