"""The gates that run an exported graph: it must answer as torch does, whatever shares its batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as onnxruntime_errors

from service.manifest import ParityCell
from training.card import Card
from training.export.graph import Signature
from training.export.lint import ExportError

GRID_BATCHES = (1, 2, 8)
GRID_TIMES = (1, 2, 7, 40, 150, 500)
TOLERANCE = 1e-4
"""Of an output's largest value, or of 1 if that is smaller.

float32 kernels that sum in another order differ by some 1e-7 of it, after hundreds of steps by
1e-6; a wrong gate order, length or state by 1e-2 and more.
"""
RUNTIME_ERRORS = (  # they share no base of their own
    onnxruntime_errors.Fail,
    onnxruntime_errors.InvalidArgument,
    onnxruntime_errors.InvalidGraph,
    onnxruntime_errors.InvalidProtobuf,
    onnxruntime_errors.NotImplemented,
    onnxruntime_errors.RuntimeException,
)
RUBBISH = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30], dtype=np.float32)

Floats = NDArray[np.float32]
Arrays = dict[str, Floats]
Steps = NDArray[Any]


class Candidate:
    """A graph and the model it must equal, both answering by the graph's names.

    Args:
        graph: The bytes of the ONNX file.
        signature: Its inputs and outputs.
        model: In evaluation mode.
        card: Says what realistic inputs look like.
    Raises:
        ExportError: onnxruntime does not load the graph.
    """

    def __init__(self, graph: bytes, signature: Signature, model: Any, card: Card) -> None:
        self.signature = signature
        self.model = model
        self.random = np.random.default_rng(0)
        self.inputs, self.outputs = card.inputs, card.outputs
        self._means = np.array(card.profile.feature_means, dtype=np.float32)
        self._deviations = np.array(card.profile.feature_deviations, dtype=np.float32)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
        except RUNTIME_ERRORS as error:
            raise ExportError(f"load: onnxruntime refuses the graph: {error}") from error

    @property
    def per_step(self) -> set[str]:
        """The outputs that are of each step."""
        return {"weights", *([self.outputs.logits] if self.outputs.per_step else [])}

    def ragged(self, batch: int, time: int) -> tuple[Steps, NDArray[np.int64]]:
        """Inputs (batch, time, ...) like the training set's, the longest of length `time`."""
        shape = (batch, time, *self.inputs.step_shape)
        inputs: Steps
        if self.inputs.tokens:
            limits = np.reshape(self.inputs.tokens, self.inputs.step_shape)
            inputs = self.random.integers(0, limits, shape)
        else:
            normal = self.random.standard_normal(shape)
            inputs = (self._means + self._deviations * normal).astype(np.float32)
        lengths = self.random.integers(1, time + 1, batch)
        lengths[self.random.integers(batch)] = time
        return inputs, lengths

    def reached_state(self, batch: int) -> Arrays:
        """State in which some sequences left the model: nonzero, its counts whole numbers."""
        if not self.signature.state:
            return {}
        answer = self.torch(*self.ragged(batch, 5), self.initial_state(batch))
        return {pair.input: answer[pair.output] for pair in self.signature.state}

    def initial_state(self, batch: int) -> Arrays:
        """State of sequences that have not begun."""
        return {
            pair.input: np.full((batch, *pair.shape), pair.initial, dtype=np.float32)
            for pair in self.signature.state
        }

    def torch(self, inputs: Steps, lengths: NDArray[np.int64], state: Arrays) -> Arrays:
        """The model's answer."""
        given = {name: torch.from_numpy(value) for name, value in state.items()}
        with torch.inference_mode():
            prediction = self.model(torch.from_numpy(inputs), torch.from_numpy(lengths), given)
        answer = {self.outputs.logits: prediction.logits}
        if prediction.weights is not None:
            answer["weights"] = prediction.weights
        answer |= {pair.output: prediction.state[pair.input] for pair in self.signature.state}
        return {name: value.numpy() for name, value in answer.items()}

    def graph(self, gate: str, inputs: Steps, lengths: NDArray[np.int64], state: Arrays) -> Arrays:
        """The graph's answer.

        Raises:
            ExportError: onnxruntime fails on this shape.
        """
        given = dict(zip(self.signature.inputs, (inputs, lengths, *state.values()), strict=True))
        try:
            answer = self._session.run(list(self.signature.outputs), given)
        except RUNTIME_ERRORS as error:
            shape = f"batch {inputs.shape[0]}, time {inputs.shape[1]}"
            raise ExportError(f"{gate}: the graph fails at {shape}: {error}") from error
        return dict(zip(self.signature.outputs, answer, strict=True))


def largest_difference(gate: str, case: str, found: Arrays, expected: Arrays) -> float:
    """The largest absolute difference over all outputs.

    Args:
        gate: For the error.
        case: Which shape or row is compared, for the error.
    Raises:
        ExportError: An output has another shape, is not finite, or differs by over `TOLERANCE`.
    """
    worst = 0.0
    for name, reference in expected.items():
        if found[name].shape != reference.shape:
            shapes = f"{found[name].shape}, expected {reference.shape}"
            raise ExportError(f"{gate}: {name} has shape {shapes}, at {case}")
        error = float(np.abs(found[name] - reference).max())
        allowed = TOLERANCE * max(1.0, float(np.abs(reference).max()))
        if not error <= allowed:  # so that NaN fails too
            raise ExportError(
                f"{gate}: {name} differs by {error:.3g} at {case}; allowed are {allowed:.3g}"
            )
        worst = max(worst, error)
    return worst


def check_parity(candidate: Candidate, max_length: int) -> list[ParityCell]:
    """Compare with torch over batch x time, lengths ragged, going on from a reached state.

    Raises:
        ExportError: A cell differs by more than `TOLERANCE`.
    """
    cells = []
    for batch in GRID_BATCHES:
        for time in (time for time in GRID_TIMES if time <= max_length):
            inputs, lengths = candidate.ragged(batch, time)
            state = candidate.reached_state(batch)
            error = largest_difference(
                "parity",
                f"batch {batch}, time {time}",
                candidate.graph("parity", inputs, lengths, state),
                candidate.torch(inputs, lengths, state),
            )
            cells.append(ParityCell(batch=batch, time=time, max_abs_error=error))
    return cells


def check_padding(candidate: Candidate, batch: int = 6, time: int = 23) -> None:
    """Each row, with rubbish in the padding and in any order, must equal the row alone.

    Raises:
        ExportError: A row's answer depends on its company.
    """
    inputs, lengths = candidate.ragged(batch, time)
    state = candidate.reached_state(batch)
    padding = np.arange(time) >= lengths[:, None]  # (batch, time)
    if inputs.dtype.kind == "f":  # a token is one of the vocabulary, in the padding too
        inputs[padding] = candidate.random.choice(RUBBISH, (padding.sum(), *inputs.shape[2:]))
    for order in (np.arange(batch), candidate.random.permutation(batch)):
        shuffled = {name: value[order] for name, value in state.items()}
        together = candidate.graph("padding", inputs[order], lengths[order], shuffled)
        for place, row in enumerate(order):
            length = int(lengths[row])
            own_state = {name: value[row : row + 1] for name, value in state.items()}
            alone = candidate.graph(
                "padding", inputs[row : row + 1, :length], lengths[row : row + 1], own_state
            )
            mine = {name: value[place : place + 1] for name, value in together.items()}
            for name in candidate.per_step & mine.keys():
                mine[name] = mine[name][:, :length]
            case = f"row {place} (length {length}) of batch {batch}, time {time}"
            largest_difference("padding", case, mine, alone)


def check_chunks(candidate: Candidate, batch: int = 5, time: int = 37) -> None:
    """For a graph with state: sequences in chunks of random sizes must equal them whole.

    Raises:
        ExportError: The state does not carry all that a sequence needs.
    """
    if not candidate.signature.state:
        return
    inputs, lengths = candidate.ragged(batch, time)
    whole = candidate.graph("chunks", inputs, lengths, candidate.initial_state(batch))
    state, done = candidate.initial_state(batch), np.zeros(batch, dtype=np.int64)
    final = {
        name: np.full_like(value, 0.0 if name in candidate.per_step else np.nan)
        for name, value in whole.items()
    }
    while (active := np.flatnonzero(done < lengths)).size:
        steps = np.minimum(candidate.random.integers(1, 9, active.size), (lengths - done)[active])
        chunk = np.zeros((active.size, steps.max(), *inputs.shape[2:]), inputs.dtype)
        for place, row in enumerate(active):
            chunk[place, : steps[place]] = inputs[row, done[row] : done[row] + steps[place]]
        own_state = {name: value[active] for name, value in state.items()}
        answer = candidate.graph("chunks", chunk, steps, own_state)
        for name, value in answer.items():
            if name not in candidate.per_step:
                final[name][active] = value
                continue
            for place, row in enumerate(active):
                final[name][row, done[row] : done[row] + steps[place]] = value[
                    place, : steps[place]
                ]
        for pair in candidate.signature.state:
            state[pair.input][active] = answer[pair.output]
        done[active] += steps
    largest_difference("chunks", f"batch {batch}, time {time}", final, whole)
