"""A graph's answers to sequences alone, and in batches with the worst neighbours there are."""

from __future__ import annotations

import time

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from service.manifest import Manifest
from training.export.lint import ExportError
from training.export.verify import RUBBISH, RUNTIME_ERRORS

NEIGHBOURS = 3
"""Sequences of extremes that share each batch with those whose answers are watched."""
WATCHED = 5
CHUNK_STEPS = 7
EXTREMES = (1.0, 30.0, 1e30)
"""Of the neighbours' values: deviations from the mean."""

Floats = NDArray[np.float32]
Arrays = dict[str, Floats]


class Runner:
    """A graph that answers sequences, whole or in chunks; one thread.

    Args:
        graph: The bytes of the ONNX file.
        manifest: Of its bundle.
    Raises:
        ExportError: onnxruntime does not load it.
    """

    def __init__(self, graph: bytes, manifest: Manifest) -> None:
        self.manifest = manifest
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.enable_mem_pattern = False
        try:
            self._session = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
        except RUNTIME_ERRORS as error:
            raise ExportError(f"load: onnxruntime refuses the graph: {error}") from error

    def initial_state(self, batch: int) -> Arrays:
        """State of sequences that have not begun."""
        return {
            pair.input: np.full((batch, *pair.shape), pair.initial, dtype=np.float32)
            for pair in self.manifest.state
        }

    def run(self, inputs: Floats, lengths: NDArray[np.int64], state: Arrays) -> Arrays:
        """Logits and new state of one batch."""
        names = [self.manifest.outputs.logits, *(pair.output for pair in self.manifest.state)]
        given = {self.manifest.inputs.name: inputs, self.manifest.inputs.lengths: lengths, **state}
        return dict(zip(names, self._session.run(names, given), strict=True))

    def alone(self, sequence: Floats) -> Floats:
        """The logits (classes,) of one sequence by itself."""
        lengths = np.array([len(sequence)], dtype=np.int64)
        answer = self.run(sequence[None], lengths, self.initial_state(1))
        logits: Floats = answer[self.manifest.outputs.logits][0]
        return logits

    def tensors(self, sequence: Floats, names: list[str]) -> list[Floats]:
        """Other outputs of the graph, for one sequence by itself."""
        lengths = np.array([len(sequence)], dtype=np.int64)
        given = {self.manifest.inputs.name: sequence[None], self.manifest.inputs.lengths: lengths}
        found: list[Floats] = self._session.run(names, given | self.initial_state(1))
        return found

    def together(self, sequences: list[Floats], chunk_steps: int) -> Floats:
        """The logits (count, classes) of one batch, in chunks; rubbish in the padding."""
        logits = np.empty((len(sequences), len(self.manifest.outputs.labels)), dtype=np.float32)
        held = self.initial_state(len(sequences))
        for start in range(0, max(map(len, sequences)), chunk_steps):
            rows = [row for row, sequence in enumerate(sequences) if len(sequence) > start]
            chunks = [sequences[row][start : start + chunk_steps] for row in rows]
            inputs, lengths = _pad_with_rubbish(chunks)
            answer = self.run(inputs, lengths, {name: value[rows] for name, value in held.items()})
            logits[rows] = answer[self.manifest.outputs.logits]
            for pair in self.manifest.state:
                held[pair.input][rows] = answer[pair.output]
        return logits

    def cpu_s(self, batch: int, steps: int, runs: int) -> float:
        """CPU seconds of so many runs at one shape: another job on the machine adds none."""
        shape = (batch, steps, self.manifest.num_features)
        inputs = around(self.manifest, np.random.default_rng(0).standard_normal(shape))
        lengths = np.full(batch, steps, dtype=np.int64)
        state = self.initial_state(batch)
        started_s = time.thread_time()
        for _ in range(runs):
            self.run(inputs, lengths, state)
        return time.thread_time() - started_s


def in_company(runner: Runner, sequences: list[Floats]) -> Floats:
    """The logits (count, classes) of sequences that each share a batch with extreme neighbours.

    Where the graph carries state, in chunks, so that batches change as sequences end.
    """
    random = np.random.default_rng(0)
    order = random.permutation(len(sequences))
    answers = np.empty((len(sequences), len(runner.manifest.outputs.labels)), dtype=np.float32)
    for start in range(0, len(order), WATCHED):
        chosen = order[start : start + WATCHED]
        watched = [sequences[index] for index in chosen]
        longest = max(map(len, watched))
        shape = (NEIGHBOURS, longest, runner.manifest.num_features)
        signs = random.choice((-1.0, 1.0), shape)
        neighbours = around(runner.manifest, signs * random.choice(EXTREMES, (NEIGHBOURS, 1, 1)))
        chunk_steps = CHUNK_STEPS if runner.manifest.state else longest
        answers[chosen] = runner.together([*neighbours, *watched], chunk_steps)[NEIGHBOURS:]
    return answers


def around(manifest: Manifest, deviations: NDArray[np.float64]) -> Floats:
    """Inputs (..., features) so many deviations away from the training set's means; finite."""
    means = np.array(manifest.profile.feature_means)
    values = means + np.array(manifest.profile.feature_deviations) * deviations
    largest = np.finfo(np.float32).max
    return values.clip(-largest, largest).astype(np.float32)


def _pad_with_rubbish(sequences: list[Floats]) -> tuple[Floats, NDArray[np.int64]]:
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    shape = (len(sequences), int(lengths.max()), sequences[0].shape[1])
    inputs = np.resize(RUBBISH, shape)
    for row, sequence in enumerate(sequences):
        inputs[row, : len(sequence)] = sequence
    return inputs, lengths
