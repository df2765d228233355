"""Large tables are kept in half the bytes only where that changes no number."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import parser

from models.tables import LARGE, round_tables
from training.export.tables import halve_tables

WIDTH = 50
NUM_ROWS = LARGE // WIDTH


def graph_of(table: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> onnx.ModelProto:
    model = parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 20]> g (int64[n] ids) => (float[n, w] y)'
        "{ rows = Gather (table, ids) y = Neg (rows) }"
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(table, "table"))
    return model


def answer(model: onnx.ModelProto) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found: np.ndarray[tuple[int, int], np.dtype[np.float32]] = session.run(
        None, {"ids": np.arange(NUM_ROWS)}
    )[0]
    return found


@pytest.mark.parametrize("rounded", [True, False])
def test_a_table_is_halved_if_it_stays_what_it_is(rounded: bool) -> None:
    embedding = torch.nn.Embedding(NUM_ROWS, WIDTH)
    if rounded:
        round_tables(embedding)
    table = embedding.weight.detach().numpy()
    model = graph_of(table.copy())
    before = model.ByteSize()
    halve_tables(model)
    assert (answer(model) == -table).all()
    share = model.ByteSize() / before
    assert share == pytest.approx(0.5 if rounded else 1.0, abs=0.01)


def test_rounding_is_to_the_nearest_half_and_of_large_tables_alone() -> None:
    large, small = torch.nn.Embedding(NUM_ROWS, WIDTH), torch.nn.Embedding(10, WIDTH)
    was = [module.weight.detach().clone() for module in (large, small)]
    round_tables(torch.nn.ModuleList([large, small]))
    assert (small.weight == was[1]).all()
    error = (large.weight.detach() - was[0]).abs() / was[0].abs().clamp(min=2**-14)
    assert 0 < float(error.max()) <= 2**-11
