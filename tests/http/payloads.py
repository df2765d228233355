"""Sequences, recordings and request bodies."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

Frames = NDArray[np.float32]

FAMILIES = [
    f"digits-{family}"
    for family in ("rnn", "lstm", "gru", "birnn", "attention", "transformer", "hybrid")
]
EXPLAINING = ["digits-attention", "digits-transformer", "digits-hybrid"]
NUM_FEATURES = 40
EXAMPLES = Path(__file__).parent.parent.parent / "examples"
RECORDING = (EXAMPLES / "7_jackson_3.wav").read_bytes()
WAV = {"Content-Type": "audio/wav"}
JSON = {"Content-Type": "application/json"}


def predict_path(model: str = "digits-lstm") -> str:
    return f"/v1/models/{model}/predict"


def infer_path(model: str = "digits-lstm") -> str:
    return f"/v2/models/{model}/infer"


def frames(length: int, seed: int = 0) -> Frames:
    """Made log-mel frames, (length, 40), of the loudness of speech."""
    random = np.random.default_rng((length, seed))
    return random.normal(-10.0, 3.0, (length, NUM_FEATURES)).astype(np.float32)


def predict_body(*sequences: Frames, **options: Any) -> dict[str, Any]:
    return {"sequences": [sequence.tolist() for sequence in sequences], **options}


def tensor(name: str, array: NDArray[Any], flat: bool = True) -> dict[str, Any]:
    datatype = {"float32": "FP32", "int64": "INT64"}[array.dtype.name]
    data = (array.ravel() if flat else array).tolist()
    return {"name": name, "shape": list(array.shape), "datatype": datatype, "data": data}


def infer_body(*sequences: Frames, padding: float = 0.0, **more: Any) -> dict[str, Any]:
    """The sequences as one padded tensor, with their lengths."""
    longest = max(map(len, sequences))
    inputs = np.full((len(sequences), longest, NUM_FEATURES), padding, dtype=np.float32)
    for row, sequence in zip(inputs, sequences, strict=True):
        row[: len(sequence)] = sequence
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    return {"inputs": [tensor("inputs", inputs), tensor("lengths", lengths)], **more}


def rows_of(output: dict[str, Any]) -> Frames:
    """An output tensor of an answer."""
    return np.array(output["data"], dtype=np.float32).reshape(output["shape"])


def samples_of(recording: bytes) -> tuple[Frames, int]:
    samples, sample_rate_hz = soundfile.read(io.BytesIO(recording), dtype="float32")
    return samples, sample_rate_hz


def wav(samples: Frames, sample_rate_hz: int = 8_000, subtype: str = "PCM_16") -> bytes:
    """A WAV of samples (time,) or (time, channels)."""
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate_hz, format="WAV", subtype=subtype)
    return file.getvalue()


def to_base64(recording: bytes) -> str:
    return base64.b64encode(recording).decode()
