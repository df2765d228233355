#!/usr/bin/env bash
# onnxruntime's RNN, GRU and LSTM answer zeros, not the initial state, for a row whose sequence_lens is 0.
#
# Versions: onnxruntime 1.32.0 (CPU), onnx 1.23.2, numpy 2.4.6, Python 3.11.
# One would guess: a row of no steps leaves the state as it came (the recurrence applied no times), so that streams
#   without news can stay in a batch: Y_h = initial_h, Y_c = initial_c.
# What happens: Y_h and Y_c of that row are zeros, whatever its initial state; the rows beside it are right. No
#   error, no warning. All three operators, both directions.
# Whom it hurts: who batches live streams (speech, sensors) by lengths and lets an idle stream ride along with
#   length 0: its state is wiped at each such run, and it goes on from nothing.
# Fails if the state comes through.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HIDDEN, FEATURES = 4, 3
random = np.random.default_rng(0)


def numbers(*shape):
    return random.standard_normal(shape).astype(np.float32)


def tensor(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


for operator, gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
    for direction in ("forward", "reverse"):
        states = ["initial_h", "initial_c"] if operator == "LSTM" else ["initial_h"]
        answers = ["Y_h", "Y_c"][: len(states)]
        node = helper.make_node(
            operator, ["X", "W", "R", "", "lengths", *states], ["", *answers],
            hidden_size=HIDDEN, direction=direction,
        )
        weights = {"W": numbers(1, gates * HIDDEN, FEATURES), "R": numbers(1, gates * HIDDEN, HIDDEN)}
        graph = helper.make_graph(
            [node], "one",
            [tensor("X", TensorProto.FLOAT, ["time", "batch", FEATURES]),
             tensor("lengths", TensorProto.INT32, ["batch"]),
             *(tensor(s, TensorProto.FLOAT, [1, "batch", HIDDEN]) for s in states)],
            [tensor(a, TensorProto.FLOAT, [1, "batch", HIDDEN]) for a in answers],
            [numpy_helper.from_array(a, n) for n, a in weights.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
        session = onnxruntime.InferenceSession(model.SerializeToString())
        feed = {"X": numbers(3, 2, FEATURES), **{s: numbers(1, 2, HIDDEN) for s in states}}
        idle = session.run(answers, {**feed, "lengths": np.array([3, 0], np.int32)})
        busy = session.run(answers, {**feed, "lengths": np.array([3, 3], np.int32)})
        for state, answer, beside in zip(states, idle, busy, strict=True):
            print(operator, direction, state, feed[state][0, 1].round(2), "->", answer[0, 1])
            assert np.array_equal(answer[0, 0], beside[0, 0]), "the row beside it is as ever"
            assert not answer[0, 1].any(), "onnxruntime has changed"
PYTHON
