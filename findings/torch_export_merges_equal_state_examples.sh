#!/usr/bin/env bash
# torch.onnx.export makes one input of two when the same tensor is the example of both, and keeps the other for show.
#
# Versions: torch 2.13.0 (CPU build), onnx 1.23.2, onnxscript 0.7.2, onnxruntime 1.32.0, Python 3.11.
# One would guess: arguments are parameters of the exported function by their place; that two examples happen to be the
#   same object of zeros, `export(lstm, (inputs, state, state))`, says nothing about later calls.
# What happens: the graph lists inputs h and c, and takes both; it begins hidden *and* cell state from c. h is ignored.
#   No error, no warning. Called with equal states, as at the first chunk (zeros), it is right to 1e-7; from the second
#   chunk on it is off. With state.clone() as the second example the graph is right.
# Whom it hurts: who exports a streaming LSTM with the natural one-liner: the first chunk and every one-shot test agree
#   with torch, the stream does not.
# Fails if the two inputs come to be kept apart.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0
"$folder/venv/bin/python" - <<'PYTHON'
import contextlib
import io
import logging
import warnings

import numpy as np
import onnxruntime
import torch

warnings.filterwarnings("ignore")
logging.disable()
torch.manual_seed(0)


class Streaming(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(3, 4, batch_first=True)

    def forward(self, inputs, hidden, cell):
        outputs, (hidden, cell) = self.lstm(inputs, (hidden, cell))
        return outputs, hidden, cell


def distance(a, b):
    return max(float(np.abs(x - y.numpy()).max()) for x, y in zip(a, b, strict=True))


network, chunk, zeros = Streaming().eval(), torch.randn(2, 6, 3), torch.zeros(1, 2, 4)
hidden, cell = torch.randn(1, 2, 4), torch.randn(1, 2, 4)
for name, examples, is_right in (("two tensors", (zeros, zeros.clone()), True), ("one tensor twice", (zeros, zeros), False)):
    with contextlib.redirect_stdout(io.StringIO()):
        program = torch.onnx.export(network, (chunk, *examples), dynamo=True, input_names=["x", "h", "c"])
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    assert [taken.name for taken in session.get_inputs()] == ["x", "h", "c"]

    def run(h, c):
        return session.run(None, {"x": chunk.numpy(), "h": h.numpy(), "c": c.numpy()})

    with torch.no_grad():
        first = distance(run(zeros, zeros), network(chunk, zeros, zeros))
        later = distance(run(hidden, cell), network(chunk, hidden, cell))
        merged = distance(run(hidden, cell), network(chunk, cell, cell))
    print(f"{name}: from zeros off by {first:.0e}, from other states by {later:.0e}; if both began from c, by {merged:.0e}")
    assert first < 1e-5 and (later < 1e-5) == is_right and (merged < 1e-5) != is_right, "torch has changed"
PYTHON
