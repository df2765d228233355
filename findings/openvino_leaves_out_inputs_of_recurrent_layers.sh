#!/usr/bin/env bash
# OpenVINO computes an ONNX LSTM without its lengths, its peepholes and input_forget, and says nothing.
#
# Versions: openvino 2026.4.1 (CPU), onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6, Python 3.11.
# One would guess: a valid ONNX graph answers alike in both runtimes, or is refused where a part is not supported
#   (an activation that OpenVINO lacks is refused).
# What happens: with sequence_lens wired, short rows run on into their padding; P (peepholes) and input_forget=1
#   are left out. The answers differ by 0.1 to 1, with f32 asked for; full rows without these parts are right to 1e-6.
# Whom it hurts: who moves an exported recurrent model from onnxruntime to OpenVINO, tries it on one sequence (which
#   is never padded), and serves batches of sequences of different lengths.
# Fails if OpenVINO comes to take one of them into account, or refuses it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper

TIME, BATCH, FEATURES, HIDDEN = 6, 3, 3, 4
random = np.random.default_rng(0)


def numbers(*shape):
    return random.standard_normal(shape).astype(np.float32)


weights = {"W": numbers(1, 16, FEATURES), "R": numbers(1, 16, HIDDEN), "B": numbers(1, 32), "P": numbers(1, 12)}
feed = {"X": numbers(TIME, BATCH, FEATURES), "lengths": np.array([6, 2, 4], np.int32)}


def both(has_lengths=False, has_peepholes=False, **attributes):
    names = ["X", "W", "R", "B", "lengths" if has_lengths else "", "", "", "P" if has_peepholes else ""]
    while not names[-1]:
        names.pop()
    node = helper.make_node("LSTM", names, ["", "Y_h"], hidden_size=HIDDEN, **attributes)
    taken = [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["time", "batch", FEATURES])]
    if has_lengths:
        taken.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, ["batch"]))
    answer = helper.make_tensor_value_info("Y_h", TensorProto.FLOAT, [1, "batch", HIDDEN])
    given = [numpy_helper.from_array(a, n) for n, a in weights.items() if n in names]
    graph = helper.make_graph([node], "one", taken, [answer], given)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data = model.SerializeToString()
    asked = {node.name: feed[node.name] for node in taken}
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return onnxruntime.InferenceSession(data).run(None, asked)[0][0], compiled(asked)[0][0]


plain, plain_openvino = both()
assert np.abs(plain - plain_openvino).max() < 1e-5
right, found = both(has_lengths=True)
print("sequence_lens", feed["lengths"], "rows differ by", np.abs(right - found).max(-1))
assert np.abs(right - found)[0].max() < 1e-5 and (np.abs(right - found)[1:].max(-1) > 1e-2).all()
assert np.abs(found - plain_openvino).max() < 1e-6, "as if there were no lengths"
for name, (right, found) in {"peepholes": both(has_peepholes=True), "input_forget": both(input_forget=1)}.items():
    print(name, "differ by", np.abs(right - found).max(), "- from the plain LSTM by", np.abs(found - plain_openvino).max())
    assert np.abs(right - found).max() > 1e-2 and np.abs(found - plain_openvino).max() < 1e-6
PYTHON
