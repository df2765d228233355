#!/usr/bin/env bash
# An LSTM made int8 by onnxruntime's quantize_dynamic answers by what lies in the padding, sequence_lens or not.
#
# Versions: onnxruntime 1.32.0 (CPU), onnx 1.23.2, numpy 2.4.6, Python 3.11.
# One would guess: steps behind a row's sequence_lens have no influence on any answer (true of the float LSTM), and
#   rows of a batch have none on each other.
# What happens: quantize_dynamic makes a DynamicQuantizeLSTM, which takes one scale over the whole input tensor, all
#   rows and padded steps. With 100 in the padding of the short rows the last state of *every* row moves by 0.06 to 0.13,
#   the full row's too; beside a neighbour 100 times as large by 0.3. The float graph does not move at all.
# Whom it hurts: who pads with anything else than zeros (a reused buffer, a mel floor of -80), or batches callers of
#   unlike loudness: answers change with the company, and a test of one sequence at a time never shows it.
# Fails if the int8 answers stay put.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import logging

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

logging.disable()
TIME, BATCH, FEATURES, HIDDEN = 6, 3, 8, 16
random = np.random.default_rng(0)
weights = {
    name: random.standard_normal(size).astype(np.float32)
    for name, size in {"W": (1, 64, FEATURES), "R": (1, 64, HIDDEN), "B": (1, 128)}.items()
}
graph = helper.make_graph(
    [helper.make_node("LSTM", ["X", "W", "R", "B", "lengths"], ["", "Y_h"], hidden_size=HIDDEN)], "one",
    [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["time", "batch", FEATURES]),
     helper.make_tensor_value_info("lengths", TensorProto.INT32, ["batch"])],
    [helper.make_tensor_value_info("Y_h", TensorProto.FLOAT, [1, "batch", HIDDEN])],
    [numpy_helper.from_array(array, name) for name, array in weights.items()],
)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "float.onnx")
quantize_dynamic("float.onnx", "int8.onnx")
print("operators of the int8 graph:", [node.op_type for node in onnx.load("int8.onnx").graph.node])

lengths = np.array([6, 2, 4], np.int32)
inputs = random.standard_normal((TIME, BATCH, FEATURES)).astype(np.float32)
for row, length in enumerate(lengths):
    inputs[length:, row] = 0
padded = inputs.copy()
padded[2:, 1] = padded[4:, 2] = 100
loud = inputs.copy()
loud[:2, 1] *= 100
for kind in ("float", "int8"):
    run = onnxruntime.InferenceSession(f"{kind}.onnx").run
    plain, dirty, beside_loud = (run(None, {"X": x, "lengths": lengths})[0][0] for x in (inputs, padded, loud))
    by_padding = np.abs(plain - dirty).max(-1)
    by_company = float(np.abs(plain - beside_loud)[0].max())
    print(f"{kind}: rows move by {by_padding} with the padding, row 0 by {by_company:.2g} with a loud row 1")
    assert (by_padding > 0.01).all() and by_company > 0.01 if kind == "int8" else not by_padding.any() and not by_company
PYTHON
