#!/usr/bin/env bash
# MNN computes an ONNX GRU with linear_before_reset=0, the default, by an equation of neither kind of GRU.
#
# Versions: MNN 3.6.1, onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6, Python 3.11.
# One would guess: the attribute that tells the two GRUs apart is read, or its other value refused. 0: the reset gate is
#   applied to the state before the product (the first paper's); 1: to the product and its bias (PyTorch's, cuDNN's).
# What happens: 1 is right. For 0 the gate is applied to the product, as for 1, but not to the product's bias. The first
#   step, from a state of zeros, is right; from the second on the states are off by tenths.
# Whom it hurts: who brings a GRU of Keras with reset_after=False, or of an old checkpoint, to a phone: a look at the
#   first step shows nothing, accuracy drops, no error anywhere.
# Fails if MNN comes to agree with the operator's equation.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 MNN==3.6.1 numpy==2.4.6
cd "$folder"
PATH="$folder/venv/bin:$PATH" "$folder/venv/bin/python" - <<'PYTHON'
import subprocess

import MNN
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

TIME, BATCH, FEATURES, HIDDEN = 6, 2, 3, 4
random = np.random.default_rng(0)
inputs = random.standard_normal((TIME, BATCH, FEATURES)).astype(np.float32)
sizes = {"W": (1, 12, FEATURES), "R": (1, 12, HIDDEN), "B": (1, 24)}
weights = {name: random.standard_normal(size).astype(np.float32) for name, size in sizes.items()}


def both(linear_before_reset):
    node = helper.make_node(
        "GRU", ["X", "W", "R", "B"], ["Y"], hidden_size=HIDDEN, linear_before_reset=linear_before_reset
    )
    graph = helper.make_graph(
        [node], "one",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [TIME, BATCH, FEATURES])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [TIME, 1, BATCH, HIDDEN])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "gru.onnx")
    convert = ["mnnconvert", "-f", "ONNX", "--modelFile", "gru.onnx", "--MNNModel", "gru.mnn", "--bizCode", "x"]
    subprocess.run(convert, check=True, capture_output=True)
    module = MNN.nn.load_module_from_file("gru.mnn", ["X"], ["Y"])
    given = MNN.expr.placeholder(list(inputs.shape), MNN.expr.NCHW, MNN.expr.float)
    given.write(inputs.ravel().tolist())
    found = np.array(module.forward([given])[0].read()).reshape(TIME, 1, BATCH, HIDDEN)
    return onnxruntime.InferenceSession("gru.onnx").run(None, {"X": inputs})[0], found


def third_kind():
    """h' = tanh(W x + b + r * (R h) + c), gates in the order update, reset, hidden."""
    (w_z, w_r, w_h), (r_z, r_r, r_h) = (np.split(weights[name][0], 3) for name in "WR")
    b_z, b_r, b_h, c_z, c_r, c_h = np.split(weights["B"][0], 6)
    state, states = np.zeros((BATCH, HIDDEN)), []
    for step in inputs:
        update = 1 / (1 + np.exp(-(step @ w_z.T + state @ r_z.T + b_z + c_z)))
        reset = 1 / (1 + np.exp(-(step @ w_r.T + state @ r_r.T + b_r + c_r)))
        new = np.tanh(step @ w_h.T + b_h + reset * (state @ r_h.T) + c_h)
        state = (1 - update) * new + update * state
        states.append(state)
    return np.stack(states)


(right, found), (right_after, found_after) = both(0), both(1)
print("linear_before_reset=1: differs by", np.abs(right_after - found_after).max())
print("linear_before_reset=0: differs step by step by", np.abs(right - found).max((1, 2, 3)))
print("and from the third equation by", np.abs(third_kind() - found[:, 0]).max())
assert np.abs(right_after - found_after).max() < 1e-4
assert np.abs(right - found)[0].max() < 1e-4 and np.abs(right - found)[1:].max() > 0.05, "MNN has changed"
assert np.abs(third_kind() - found[:, 0]).max() < 1e-4
PYTHON
