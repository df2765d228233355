#!/usr/bin/env bash
# onnx's own reference evaluator leaves out sequence_lens, clip, activations and input_forget of LSTM and GRU.
#
# Versions: onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, Python 3.11.
# One would guess: onnx.reference is what a runtime is held against, so on a valid model it either computes what
#   the operator's page says or refuses what it has no code for (RNN with another activation is refused so).
# What happens: LSTM and GRU are computed as if these attributes, and the input with the rows' lengths, were not
#   there. No error, no warning. Y_h is the state after the padding; onnxruntime agrees with the equations.
# Whom it hurts: who takes the evaluator for the truth when an exporter, a quantiser or a runtime of recurrent
#   models is tested: padded rows and clipped cells "fail" in the right runtime and "pass" in one that is wrong.
# Fails if the evaluator's answers come to agree with the equations, or onnxruntime's cease to.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

TIME, BATCH, FEATURES, HIDDEN = 6, 3, 3, 4
LENGTHS = np.array([6, 2, 4], np.int32)
random = np.random.default_rng(0)
inputs = random.standard_normal((TIME, BATCH, FEATURES)).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(weights, recurrent, bias, lengths, clip, forget_is_input, squash):
    """The operator's equations, a row at a time; gates in the order input, output, forget, cell."""
    final = np.zeros((BATCH, HIDDEN))
    for row in range(BATCH):
        hidden, cell = np.zeros(HIDDEN), np.zeros(HIDDEN)
        for step in inputs[: lengths[row], row]:
            gates = np.clip(weights @ step + recurrent @ hidden + bias, -clip, clip)
            i, o, f, c = np.split(gates, 4)
            i, o = sigmoid(i), sigmoid(o)
            f = 1 - i if forget_is_input else sigmoid(f)
            cell = f * cell + i * squash(c)
            hidden = o * squash(cell)
        final[row] = hidden
    return final


def trial(name, has_lengths=False, attributes=(), clip=np.inf, forget_is_input=False, squash=np.tanh):
    w, r, b = (random.standard_normal(s).astype(np.float32) for s in ((16, 3), (16, 4), (32,)))
    taken = [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["time", "batch", FEATURES])]
    feed = {"X": inputs}
    if has_lengths:
        taken.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, ["batch"]))
        feed["lengths"] = LENGTHS
    node = helper.make_node("LSTM", ["X", "W", "R", "B", *list(feed)[1:]], ["", "Y_h"], hidden_size=HIDDEN, **dict(attributes))
    given = [numpy_helper.from_array(a[None], n) for n, a in (("W", w), ("R", r), ("B", b))]
    answer = helper.make_tensor_value_info("Y_h", TensorProto.FLOAT, [1, "batch", HIDDEN])
    graph = helper.make_graph([node], "one", taken, [answer], given)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    wanted = lstm(w, r, b[:16] + b[16:], LENGTHS if has_lengths else [TIME] * BATCH, clip, forget_is_input, squash)
    runtime = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feed)[0][0]
    reference = ReferenceEvaluator(model).run(None, feed)[0][0]
    errors = [float(np.abs(found - wanted).max()) for found in (runtime, reference)]
    print(f"{name:14} distance from the equations: onnxruntime {errors[0]:.1e}, onnx.reference {errors[1]:.1e}")
    assert errors[0] < 1e-5
    assert (errors[1] < 1e-5) == (name == "plain"), "the evaluator has changed"


trial("plain")
trial("sequence_lens", has_lengths=True)
trial("clip", attributes={"clip": 0.5}.items(), clip=0.5)
trial("input_forget", attributes={"input_forget": 1}.items(), forget_is_input=True)
trial("activations", attributes={"activations": ["Sigmoid", "Relu", "Relu"]}.items(), squash=lambda x: np.maximum(x, 0))
PYTHON
