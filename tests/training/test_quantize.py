"""The int8 form of a graph: its arithmetic, and that no neighbour can change it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper, parser

from models import FAMILIES
from service.manifest import read_graph, read_manifest
from tests.reference import int8 as reference
from tests.training.conftest import Exported
from training.export.company import Floats, Runner, around, in_company
from training.export.quantize import LARGEST_WEIGHT, quantisable, quantize, quantize_columns
from training.export.variant import calibrate

Export = Callable[[str], Exported]

HIDDEN, INPUTS, OUTPUTS = 5, 3, 4
LSTM_GRAPH = f"""
<ir_version: 10, opset_import: ["" : 20]> one_lstm
(float[time,batch,{INPUTS}] steps, int32[batch] lengths) => (float[time,1,batch,{HIDDEN}] outputs)
{{ outputs = LSTM <hidden_size = {HIDDEN}> (steps, of_inputs, of_hidden, biases, lengths) }}
"""
MATMUL_GRAPH = f"""
<ir_version: 10, opset_import: ["" : 20]> one_matmul
(float[rows,{INPUTS}] values) => (float[rows,{OUTPUTS}] products)
{{ products = MatMul (values, weights) }}
"""


def draw(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def session(
    text: str, limits: tuple[float, float], by_column: bool = True, **weights: Floats
) -> Callable[..., Floats]:
    """Runs the int8 form of a graph with these weights."""
    graph = parser.parse_model(text)
    graph.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in weights.items()
    )
    ranges = dict.fromkeys(quantisable(graph), limits)
    small = quantize(graph, ranges, by_column=by_column)
    runner = onnxruntime.InferenceSession(
        small.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return lambda **given: runner.run(None, given)[0]


@pytest.mark.parametrize("limits", [(-2.0, 2.0), (-0.25, 3.0), (0.0, 1.5)])
def test_a_product_is_that_of_integers_clipped_to_its_range(limits: tuple[float, float]) -> None:
    weights, values = draw(INPUTS, OUTPUTS), 2 * draw(50, INPUTS, seed=1)
    found = session(MATMUL_GRAPH, limits, weights=weights)(values=values)
    exact = values.astype(np.float64)
    wanted = [reference.product(row, weights.T.astype(np.float64), limits) for row in exact]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("by_column", [True, False])
def test_an_lstm_is_that_of_integers_clipped_to_its_range(by_column: bool) -> None:
    limits = (-1.5, 2.5)
    of_inputs, of_hidden = draw(4 * HIDDEN, INPUTS), draw(4 * HIDDEN, HIDDEN, seed=1)
    biases, steps = draw(8 * HIDDEN, seed=2), 2 * draw(12, 6, INPUTS, seed=3)
    exact = [part.astype(np.float64) for part in (of_inputs, of_hidden, biases, steps)]
    found = session(
        LSTM_GRAPH,
        limits,
        by_column,
        of_inputs=of_inputs[None],
        of_hidden=of_hidden[None],
        biases=biases[None],
    )(steps=steps, lengths=np.full(6, 12, dtype=np.int32))
    summed = exact[2][: 4 * HIDDEN] + exact[2][4 * HIDDEN :]
    for row in range(6):
        wanted = reference.lstm(exact[3][:, row], (exact[0], exact[1]), summed, limits, by_column)
        np.testing.assert_allclose(found[:, 0, row], wanted, atol=1e-4)


def test_weights_leave_room_for_pairs_of_products_in_16_bits() -> None:
    columns, scales = quantize_columns(draw(2, 7, 4))
    assert columns.shape == (2, 7, 4)
    assert scales.shape == (2, 4)
    assert np.abs(columns).max() == LARGEST_WEIGHT
    assert np.iinfo(np.int16).max >= 2 * 255 * LARGEST_WEIGHT
    still, ones = quantize_columns(np.zeros((3, 2), dtype=np.float32))
    assert (still == 0).all()
    assert (ones == 1).all()
    matrices, scales = quantize_columns(draw(2, 7, 4), by_column=False)
    assert scales.shape == (2,)
    assert np.abs(matrices).max(axis=(1, 2)).tolist() == [LARGEST_WEIGHT] * 2


@pytest.mark.parametrize("family", ["rnn", "gru"])
def test_what_has_no_int8_form_is_left(family: str, exported: Export) -> None:
    assert quantisable(exported(family).graph()) == []


class Quantised:
    """A family's toy bundle in both precisions, and sequences like its profile's."""

    def __init__(self, bundle: Exported) -> None:
        manifest = read_manifest(bundle.folder)
        self.sequences = [
            around(manifest, draw(length, 3, seed=length).astype(np.float64))
            for length in range(1, 24)
        ]
        graph = bundle.graph()
        self.graph = quantize(graph, calibrate(graph, manifest, self.sequences))
        self.fp32 = Runner(read_graph(bundle.folder, manifest), manifest)
        self.int8 = Runner(self.graph.SerializeToString(), manifest)


WITH_INT8 = ("lstm", "birnn", "attention", "transformer", "hybrid")


@pytest.fixture(scope="module", params=WITH_INT8)
def quantised(request: pytest.FixtureRequest, exported: Export) -> Quantised:
    return Quantised(exported(request.param))


def test_every_family_is_either_quantised_or_has_nothing_to_quantise() -> None:
    assert {*WITH_INT8, "rnn", "gru"} == set(FAMILIES)


def test_it_answers_nearly_as_fp32_does(quantised: Quantised) -> None:
    for sequence in quantised.sequences:
        expected = quantised.fp32.alone(sequence)
        np.testing.assert_allclose(quantised.int8.alone(sequence), expected, atol=0.05)


def test_no_lstm_and_no_large_matrix_stays_in_fp32(quantised: Quantised) -> None:
    kinds = {node.op_type for node in quantised.graph.graph.node}
    assert "LSTM" not in kinds
    assert kinds & {"DynamicQuantizeLSTM", "MatMulIntegerToFloat"}


def test_extreme_neighbours_and_rubbish_in_the_padding_change_nothing(
    quantised: Quantised,
) -> None:
    alone = [quantised.int8.alone(sequence) for sequence in quantised.sequences]
    together = in_company(quantised.int8, quantised.sequences)
    np.testing.assert_allclose(together, alone, atol=1e-5)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_company_in_any_chunks_changes_nothing(
    quantised: Quantised, data: st.DataObject
) -> None:
    sequence = quantised.sequences[data.draw(st.integers(0, 22))]
    width = st.floats(-1e30, 1e30)
    neighbours = [
        np.full((length, 3), data.draw(width), dtype=np.float32)
        for length in data.draw(st.lists(st.integers(1, 30), max_size=6))
    ]
    place = data.draw(st.integers(0, len(neighbours)))
    batch = [*neighbours[:place], sequence, *neighbours[place:]]
    whole = max(map(len, batch))
    chunk = data.draw(st.integers(1, whole)) if quantised.int8.manifest.state else whole
    found = quantised.int8.together(batch, chunk)[place]
    np.testing.assert_allclose(found, quantised.int8.alone(sequence), atol=1e-5)


def test_nothing_of_the_fp32_weights_is_left(exported: Export) -> None:
    small = Quantised(exported("lstm")).graph
    sizes = {tensor.name: tensor.data_type for tensor in small.graph.initializer}
    assert not [name for name in sizes if name.startswith("model.encoder")]
    onnx.checker.check_model(small)
