#!/usr/bin/env bash
# OpenCV 5's dnn module runs an ONNX GRU with direction="reverse" forwards; of a reverse LSTM, Y_h is of the wrong end.
#
# Versions: opencv-python-headless 5.0.0.93, onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6, Python 3.11.
# One would guess: forward, reverse and bidirectional are read from the same attribute, and as bidirectional is right
#   for both operators, so is reverse.
# What happens: a reverse GRU answers what the forward one would, to the last digit. A reverse LSTM has Y right, but
#   its Y_h is Y's last place in time, which is the first step that a reverse layer computes. No error, no warning.
# Whom it hurts: who deploys text recognition or taggers whose two directions were written as one forward and one
#   reverse node (Keras' Bidirectional, hand-made exports): half of the features are of the wrong direction or step.
# Fails if the reverse layers come to be right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnx==1.23.2 onnxruntime==1.32.0 opencv-python-headless==5.0.0.93 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import cv2
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

TIME, BATCH, FEATURES, HIDDEN = 6, 2, 3, 4
random = np.random.default_rng(0)
inputs = random.standard_normal((TIME, BATCH, FEATURES)).astype(np.float32)


def both(operator, gates, direction, weights):
    directions = 2 if direction == "bidirectional" else 1
    node = helper.make_node(operator, ["X", "W", "R", "B"], ["Y", "Y_h"], hidden_size=HIDDEN, direction=direction)
    graph = helper.make_graph(
        [node], "one",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [TIME, BATCH, FEATURES])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [TIME, directions, BATCH, HIDDEN]),
         helper.make_tensor_value_info("Y_h", TensorProto.FLOAT, [directions, BATCH, HIDDEN])],
        [numpy_helper.from_array(a[:directions], n) for n, a in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data = model.SerializeToString()
    net = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
    net.setInput(inputs, "X")
    sizes = [(TIME, directions, BATCH, HIDDEN), (directions, BATCH, HIDDEN)]
    found = [np.asarray(a).reshape(s) for a, s in zip(net.forward(["Y", "Y_h"]), sizes, strict=True)]
    return onnxruntime.InferenceSession(data).run(None, {"X": inputs}), found


for operator, gates in (("GRU", 3), ("LSTM", 4)):
    sizes = {"W": (2, gates * HIDDEN, FEATURES), "R": (2, gates * HIDDEN, HIDDEN), "B": (2, 2 * gates * HIDDEN)}
    weights = {name: random.standard_normal(size).astype(np.float32) for name, size in sizes.items()}
    answers = {d: both(operator, gates, d, weights) for d in ("forward", "bidirectional", "reverse")}
    for direction, (right, found) in answers.items():
        errors = [float(np.abs(a - b).max()) for a, b in zip(right, found, strict=True)]
        print(f"{operator} {direction}: differs from onnxruntime by {errors[0]:.1e} in Y, {errors[1]:.1e} in Y_h")
        if direction != "reverse":
            assert max(errors) < 1e-5
        elif operator == "GRU":
            assert min(errors) > 0.1, "OpenCV has changed"
            forward = answers["forward"][1]
            assert all(np.array_equal(a, b) for a, b in zip(found, forward, strict=True)), "the forward layer's"
        else:
            assert errors[0] < 1e-5 and errors[1] > 0.1, "OpenCV has changed"
            assert np.abs(found[1] - right[0][-1]).max() < 1e-5, "Y_h is Y at the last place"
PYTHON
