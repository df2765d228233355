#!/usr/bin/env bash
# torch.onnx.export freezes the time axis of an LSTM or GRU if the process exported one of the same kind just before.
#
# Versions: torch 2.13.0 (CPU build), onnx 1.23.2, onnxscript 0.7.2, onnxruntime 1.32.0, Python 3.11.
# One would guess: an export is a function of the module and its arguments: the same call, with time as a
#   torch.export.Dim, gives a graph of any time, the first time and the tenth.
# What happens: the first LSTM has inputs (batch, time, features). A second one right after it, another module too, has
#   the sample's own number of steps in the time's place, and onnxruntime refuses all others; so have all that follow.
#   With a GRU between them the second LSTM is right, and the other way round. No error, no warning.
# Whom it hurts: scripts that export a sweep or an ensemble in one run: all but the first model take sequences of one
#   length alone, and a test of the first shows nothing. A process for each export is right.
# Fails if the second in a row comes to keep its time, or the first not to.
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
SAMPLE_STEPS, OTHER_STEPS, FEATURES = 20, 31, 16


class Layer(torch.nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.layer = getattr(torch.nn, cell)(FEATURES, 8, batch_first=True)

    def forward(self, inputs):
        return self.layer(inputs)[0]


def export(cell):
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("time")}
    with contextlib.redirect_stdout(io.StringIO()):
        program = torch.onnx.export(
            Layer(cell).eval(), (torch.randn(2, SAMPLE_STEPS, FEATURES),), dynamo=True, dynamic_shapes=(axes,)
        )
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    taken = session.get_inputs()[0]
    try:
        session.run(None, {taken.name: np.zeros((2, OTHER_STEPS, FEATURES), np.float32)})
    except Exception:
        return taken.shape, False
    return taken.shape, True


exported = [(cell, *export(cell)) for cell in ("LSTM", "LSTM", "GRU", "GRU", "LSTM")]
for cell, shape, takes_other in exported:
    print(f"{cell}: input {shape}, {OTHER_STEPS} steps {'taken' if takes_other else 'refused'}")
assert [takes_other for *_, takes_other in exported] == [True, False, True, False, True], "torch has changed"
assert exported[1][1][1] == SAMPLE_STEPS
PYTHON
