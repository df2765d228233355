"""The graph of a bundle under onnxruntime, as every peer runs it: one thread, spinning off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

MODELS = ("lstm", "bigru", "transformer")


class Graph:
    """A session of `<repository>/<name>/1/model.onnx`."""

    def __init__(self, repository: str | Path, name: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            Path(repository) / name / "1" / "model.onnx",
            options,
            providers=["CPUExecutionProvider"],
        )
        self._state_sizes = {
            tensor.name: tensor.shape[1:]
            for tensor in self._session.get_inputs()
            if tensor.name not in ("inputs", "lengths")
        }

    def run(self, inputs: NDArray[np.float32], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits (batch, classes) of inputs (batch, time, features) and lengths (batch,)."""
        feed: dict[str, NDArray[Any]] = {"inputs": inputs, "lengths": lengths}
        for name, size in self._state_sizes.items():
            feed[name] = np.zeros((len(inputs), *size), dtype=np.float32)
        (logits,) = self._session.run(["logits"], feed)
        return logits  # type: ignore[no-any-return]

    def run_sequences(self, sequences: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Logits (batch, classes) of sequences (time, features), padded to the longest."""
        lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
        if len(sequences) == 1:
            return self.run(sequences[0][None], lengths)
        shape = (len(sequences), lengths.max(), sequences[0].shape[1])
        inputs = np.zeros(shape, dtype=np.float32)
        for row, sequence in zip(inputs, sequences, strict=True):
            row[: len(sequence)] = sequence
        return self.run(inputs, lengths)


def run_requests(
    graphs: dict[str, Graph], requests: list[tuple[str, list[NDArray[np.float32]]]]
) -> list[NDArray[np.float32]]:
    """Of each request for a graph by name, its logits; one run for all of the same graph."""
    answers: list[NDArray[np.float32]] = [np.empty(0, dtype=np.float32)] * len(requests)
    for name in {name for name, _ in requests}:
        asked = [index for index, request in enumerate(requests) if request[0] == name]
        sequences = [sequence for index in asked for sequence in requests[index][1]]
        ends = np.cumsum([len(requests[index][1]) for index in asked])
        logits = np.split(graphs[name].run_sequences(sequences), ends[:-1])
        for index, rows in zip(asked, logits, strict=True):
            answers[index] = rows
    return answers
