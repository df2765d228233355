#!/usr/bin/env bash
# kaldi-native-fbank's features of the same samples differ from call to call, by up to 2 in quiet passages.
#
# Versions: kaldi-native-fbank 1.23.0, numpy 2.4.6, Python 3.11.
# One would guess: features are a function of the samples (the package was made for inference), so a test can compare
#   them exactly, and a cache or a replay of a request gives the same answer.
# What happens: FbankOptions has dither 3e-5 by default: noise is added to every window. On silence two calls differ
#   by more than 1 in the log energies, on a pure tone likewise in the bands that it leaves empty; with
#   frame_opts.dither = 0 they are equal, and digital silence is then at the floor.
# Whom it hurts: speech models served through it (it is what sherpa-onnx ships): answers near a decision flip between
#   two identical requests, parity tests between training and serving fail now and then.
# Fails if the default comes to be deterministic.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check kaldi-native-fbank==1.23.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import kaldi_native_fbank
import numpy as np


def features(samples, dither=None):
    options = kaldi_native_fbank.FbankOptions()
    if dither is not None:
        options.frame_opts.dither = dither
    fbank = kaldi_native_fbank.OnlineFbank(options)
    fbank.accept_waveform(16_000, samples.tolist())
    fbank.input_finished()
    return np.stack([fbank.get_frame(frame) for frame in range(fbank.num_frames_ready)])


print("default dither:", kaldi_native_fbank.FbankOptions().frame_opts.dither)
signals = {"silence": np.zeros(16_000, np.float32), "tone": np.sin(np.arange(16_000) * 0.1).astype(np.float32)}
for name, samples in signals.items():
    apart = float(np.abs(features(samples) - features(samples)).max())
    still = float(np.abs(features(samples, 0.0) - features(samples, 0.0)).max())
    print(f"{name}: two calls differ by {apart:.2f} (log energy); with dither 0 by {still:g}")
    assert apart > 0.5 and still == 0.0
PYTHON
