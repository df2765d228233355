"""What a server must answer: each sequence run through onnxruntime alone, in one piece."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray


class Answer(NamedTuple):
    """One sequence's."""

    logits: NDArray[np.float32]  # (classes,)
    probabilities: NDArray[np.float64]  # (classes,)
    weights: NDArray[np.float32] | None  # (time,)


class Alone:
    """A bundle's graph without any of the service's code.

    Args:
        folder: With the graph and `model.json`.
        graph: Its file.
    """

    def __init__(self, folder: Path, graph: str = "model.onnx") -> None:
        self.manifest = json.loads((folder / "model.json").read_text())
        self.labels: list[str] = self.manifest["outputs"]["labels"]
        self.explains = self.manifest["outputs"]["weights"] is not None
        self._session = onnxruntime.InferenceSession(
            folder / graph, providers=["CPUExecutionProvider"]
        )

    def __call__(self, sequence: NDArray[np.float32]) -> Answer:
        """Run one sequence, float32 (time, features)."""
        inputs, outputs = self.manifest["inputs"], self.manifest["outputs"]
        feed = {
            inputs["name"]: sequence[None],
            inputs["lengths"]: np.array([len(sequence)], dtype=np.int64),
            **{
                pair["input"]: np.full((1, *pair["shape"]), pair["initial"], dtype=np.float32)
                for pair in self.manifest["state"]
            },
        }
        names = [outputs["logits"], *([outputs["weights"]] if self.explains else [])]
        logits, *weights = (array[0] for array in self._session.run(names, feed))
        return Answer(logits, softmax(logits), weights[0] if weights else None)


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities of the last axis."""
    exponentials = np.exp(np.asarray(logits, dtype=np.float64))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))
