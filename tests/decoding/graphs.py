"""The fakes' equations as ONNX graphs, of the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from service.graphs.decoders.decoder import Decoder, DecoderSpec
from service.graphs.model import Arrays
from service.graphs.session import open_session
from tests.decoding.fakes import (
    WIDTH,
    FakeAttention,
    FakeDecoder,
    FakeLstm,
    FakeTranslator,
)

HEAD = '<ir_version: 8, opset_import: ["": 17]>\n'

LSTM = """
lstm (int64[batch, time] inputs, int64[batch] lengths, float[batch, 6] hidden, float[batch, 6] cell)
  => (float[batch, 11] logits, float[batch, 6] hidden_out, float[batch, 6] cell_out) {
  steps = Gather(embedding, inputs)
  by_time = Transpose<perm = [1, 0, 2]>(steps)
  counts = Cast<to = 6>(lengths)
  h = Unsqueeze(hidden, zero)
  c = Unsqueeze(cell, zero)
  outputs, h_out, c_out = LSTM<hidden_size = 6>(by_time, outer, inner, bias, counts, h, c)
  hidden_out = Squeeze(h_out, zero)
  cell_out = Squeeze(c_out, zero)
  logits = MatMul(hidden_out, head)
}
"""

ATTENTION = """
attention (int64[batch, time] inputs, int64[batch] lengths, float[batch, past, 12] cache,
           int64[batch] cache_lengths)
  => (float[batch, 11] logits, float[batch, time, 12] cache_out) {
  steps = Gather(embedding, inputs)
  queries = MatMul(steps, query)
  cache_out = MatMul(steps, key_value)
  old_keys, old_values = Split<axis = 2>(cache)
  new_keys, new_values = Split<axis = 2>(cache_out)
  held = Unsqueeze(cache_lengths, ends)
  cache_shape = Shape<start = 1, end = 2>(cache)
  past = Squeeze(cache_shape, zero)
  old_places = Range(none, past, single)
  is_old = Less(old_places, held)
  old_by_width = Transpose<perm = [0, 2, 1]>(old_keys)
  old_products = MatMul(queries, old_by_width)
  old_ages = Cast<to = 1>(old_places)
  old_bias = Mul(old_ages, slope)
  old_biased = Add(old_products, old_bias)
  old_scores = Where(is_old, old_biased, never)
  time_shape = Shape<start = 1, end = 2>(inputs)
  time = Squeeze(time_shape, zero)
  new_places = Range(none, time, single)
  at = Unsqueeze(new_places, one)
  is_past = LessOrEqual(new_places, at)
  new_by_width = Transpose<perm = [0, 2, 1]>(new_keys)
  new_products = MatMul(queries, new_by_width)
  new_at = Add(new_places, held)
  new_ages = Cast<to = 1>(new_at)
  new_bias = Mul(new_ages, slope)
  new_biased = Add(new_products, new_bias)
  new_scores = Where(is_past, new_biased, never)
  scores = Concat<axis = 2>(old_scores, new_scores)
  weights = Softmax<axis = 2>(scores)
  values = Concat<axis = 1>(old_values, new_values)
  context = MatMul(weights, values)
  outputs = Add(context, steps)
  last = Sub(lengths, one)
  last_at = Unsqueeze(last, one)
  found = GatherND<batch_dims = 1>(outputs, last_at)
  logits = MatMul(found, head)
}
"""

ENCODER = """
encoder (int64[batch, time] inputs, int64[batch] lengths)
  => (float[batch, time, 6] memory, float[batch, 6] hidden) {
  steps = Gather(embedding, inputs)
  time_shape = Shape<start = 1, end = 2>(inputs)
  time = Squeeze(time_shape, zero)
  places = Range(none, time, single)
  numbers = Cast<to = 1>(places)
  scaled = Mul(numbers, slope)
  by_step = Unsqueeze(scaled, one)
  memory = Add(steps, by_step)
  counts = Unsqueeze(lengths, one)
  is_real = Less(places, counts)
  real = Cast<to = 1>(is_real)
  mask = Unsqueeze(real, two)
  kept = Mul(memory, mask)
  summed = ReduceSum<keepdims = 0>(kept, one)
  hidden = Tanh(summed)
}
"""

TRANSLATOR = """
translator (int64[batch, time] inputs, int64[batch] lengths, float[batch, 6] hidden,
            float[batch, source, 6] memory, int64[batch] memory_lengths)
  => (float[batch, 11] logits, float[batch, 6] hidden_out, float[batch, source] attention) {
  steps = Gather(embedding, inputs)
  by_time = Transpose<perm = [1, 0, 2]>(steps)
  counts = Cast<to = 6>(lengths)
  h = Unsqueeze(hidden, zero)
  outputs, h_out = RNN<hidden_size = 6>(by_time, identity, inner, bias, counts, h)
  hidden_out = Squeeze(h_out, zero)
  query = Unsqueeze(hidden_out, two)
  products = MatMul(memory, query)
  all_scores = Squeeze(products, two)
  source_shape = Shape<start = 1, end = 2>(memory)
  source = Squeeze(source_shape, zero)
  places = Range(none, source, single)
  sizes = Unsqueeze(memory_lengths, one)
  is_real = Less(places, sizes)
  scores = Where(is_real, all_scores, never)
  attention = Softmax<axis = 1>(scores)
  weights = Unsqueeze(attention, one)
  weighted = MatMul(weights, memory)
  context = Squeeze(weighted, one)
  both = Add(hidden_out, context)
  logits = MatMul(both, head)
}
"""

CONSTANTS: dict[str, NDArray[Any]] = {
    "zero": np.array([0]),
    "one": np.array([1]),
    "two": np.array([2]),
    "ends": np.array([1, 2]),
    "none": np.array(0),
    "single": np.array(1),
    "slope": np.array(0.1, np.float32),
    "never": np.array(-np.inf, np.float32),
}


def graph(text: str, **weights: NDArray[np.float64]) -> bytes:
    """A graph of these nodes, and the weights and constants that it names."""
    model = onnx.parser.parse_model(HEAD + text)
    used = {name for node in model.graph.node for name in node.input}
    values = CONSTANTS | {name: array.astype(np.float32) for name, array in weights.items()}
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(array, name) for name, array in values.items() if name in used
    )
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized


class OnnxFake(Decoder):
    """A decoder of a fake's graph; keeps the rows of each run."""

    def __init__(self, spec: DecoderSpec, decoder: bytes, encoder: bytes | None = None) -> None:
        super().__init__(spec, open_session(decoder), open_session(encoder) if encoder else None)
        self.runs: list[NDArray[np.int64]] = []

    def run(self, tokens: NDArray[np.int64], lengths: NDArray[np.int64], held: Arrays) -> Arrays:
        """Run some steps of a batch."""
        self.runs.append(lengths)
        return super().run(tokens, lengths, held)


def onnx_of(fake: FakeDecoder) -> OnnxFake:
    """The same as a graph."""
    weights = {"embedding": fake.embedding, "head": fake.head}
    if isinstance(fake, FakeLstm):

        def as_iofc(gates: NDArray[np.float64]) -> NDArray[np.float64]:
            enter, forget, leave, cell = np.split(gates.T, 4)
            return np.concatenate([enter, leave, forget, cell])[None]

        bias = np.zeros((1, 8 * WIDTH))
        weights |= {"outer": as_iofc(fake.outer), "inner": as_iofc(fake.inner), "bias": bias}
        return OnnxFake(fake.spec, graph(LSTM, **weights))
    if isinstance(fake, FakeAttention):
        query, key, value = fake.projections
        key_value = np.concatenate([key, value], axis=1)
        return OnnxFake(fake.spec, graph(ATTENTION, query=query, key_value=key_value, **weights))
    assert isinstance(fake, FakeTranslator)
    recurrent = {"inner": fake.inner.T[None], "identity": np.eye(WIDTH)[None]}
    bias = np.zeros((1, 2 * WIDTH))
    decoder = graph(TRANSLATOR, bias=bias, **recurrent, **weights)
    return OnnxFake(fake.spec, decoder, graph(ENCODER, **weights))
