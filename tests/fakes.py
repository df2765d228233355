"""Models with `OnnxModel`'s interface and no graph: they answer exactly, and trust nobody.

`SumModel` hashes every step in its order, so a step lost, repeated, moved or mixed with another
sequence's changes the answer. All its numbers are integers below 2**24, exact in float32.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service import native
from service.graphs.model import Arrays
from service.graphs.spec import OutputSpec, spec_of
from service.manifest import Manifest
from service.schedulers.scheduler import Scheduler
from service.tasks.registry import task_of
from service.tasks.task import Bundle, Task

FACTOR, MODULUS = 251, 65_521  # FACTOR * MODULUS < 2**24
NUM_FEATURES = 2
FIRST_HASH = 7.0
MARK = 99.0  # FailingModel fails on a batch that holds it
TIMEOUT_S = 20.0  # of every wait in a test: never reached unless something hangs

Steps = NDArray[np.float32]

OF_EACH_STEP = (OutputSpec("logits", (2,)), OutputSpec("weights", (), per_step=True))
"""The outputs of a `SumModel` that says something of each step, whatever its scheduler."""


def make_manifest(
    batching: Literal["cells", "sequences"] = "cells",
    weights: bool = False,
    **changes: Any,
) -> Manifest:
    """The manifest of a `SumModel`; `changes` replace whole fields."""
    state = [
        {"input": "hash", "output": "hash_out", "shape": [1], "initial": FIRST_HASH},
        {"input": "count", "output": "count_out", "shape": [1, 1]},
    ]
    document: dict[str, Any] = {
        "name": "sum",
        "version": "1",
        "family": "fake",
        "task": "classification",
        "batching": batching,
        "inputs": {"features": ["high", "low"]},
        "outputs": {"labels": ["hash", "count"], "weights": "weights" if weights else None},
        "state": state if batching == "cells" else [],
        "limits": {"max_length": 1_000},
        "sha256": "0" * 64,
        "graph_bytes": 1,
        "parity": [],
        "quality": {"test_accuracy": 0.5, "test_sequences": 2, "baseline_accuracy": 0.5},
        "profile": {
            "length_quantiles": {"0.5": 7, "0.99": 40},
            "feature_means": [4.0, 5.0],
            "feature_deviations": [2.0, 2.0],
        },
        "provenance": {
            "dataset": "none",
            "data_licence": "none",
            "split": "none",
            "seed": 0,
            "hyperparameters": {},
            "libraries": {},
            "created_utc": "2026-01-01T00:00:00Z",
        },
    }
    return Manifest.model_validate(document | changes)


def task_of_manifest(manifest: Manifest) -> Task:
    """The task of a bundle that has no files beside its graph."""

    def read_file(name: str) -> bytes:
        raise AssertionError(f"no file {name}")

    return task_of(Bundle(manifest, read_file))


def make_sequence(values: Sequence[int]) -> Steps:
    """A sequence of these steps, 0 to 98 each: float32 (time, 2)."""
    return np.array([divmod(value, 10) for value in values], dtype=np.float32)


def random_sequence(random: np.random.Generator, length: int) -> Steps:
    """A sequence of this length, its steps drawn from 0 to 98."""
    return make_sequence(random.integers(0, 99, length).tolist())


def expected(sequence: Steps) -> list[float]:
    """The logits that a `SumModel` owes this sequence, in Python's integers."""
    value = int(FIRST_HASH)
    for high, low in sequence.tolist():
        value = (value * FACTOR + 10 * int(high) + int(low) + 1) % MODULUS
    return [float(value), float(len(sequence))]


class Result(NamedTuple):
    """The answer to one sequence."""

    logits: NDArray[np.float32]  # (classes,)
    weights: NDArray[np.float32] | None  # (time,)

    @classmethod
    def of(cls, outputs: Arrays, lengths: Sequence[int]) -> list[Result]:
        """Those of a batch, by the names of a bundle's outputs."""
        rows = enumerate(lengths)
        if "weights" not in outputs:
            return [cls(outputs["logits"][row], None) for row, _ in rows]
        return [cls(outputs["logits"][row], outputs["weights"][row, :n]) for row, n in rows]


def results_of(scheduler: Scheduler, job: native.Job) -> list[Result]:
    """The answers to a job's sequences, in their order."""
    return Result.of(scheduler.results(job), job.lengths)


def check_result(result: Result, sequence: Steps) -> None:
    """Fail unless this is the answer to just this sequence, weights included if there are any."""
    assert result.logits.tolist() == expected(sequence)
    if result.weights is not None:
        prefixes = [expected(sequence[: stop + 1])[0] for stop in range(len(sequence))]
        assert result.weights.tolist() == prefixes


class SumModel:
    """Logits: the hash of the steps, and their count; weights, if any: the hash up to each step.

    `changes` are of its spec. It keeps what it ran in `runs` (the real steps of each row), refuses
    a batch no scheduler should make, and answers NaN past each length.
    """

    def __init__(self, manifest: Manifest, **changes: Any) -> None:
        self.manifest = manifest
        self.spec = replace(spec_of(manifest), **changes)
        self.runs: list[list[Steps]] = []

    def run(self, inputs: NDArray[np.float32], lengths: NDArray[np.int64], state: Arrays) -> Arrays:
        """Run one batch."""
        rows, steps, features = inputs.shape
        assert inputs.dtype == np.float32
        assert lengths.dtype == np.int64
        assert features == NUM_FEATURES
        assert lengths.shape == (rows,)
        assert lengths.min() >= 1, "a row without steps"
        assert lengths.max() == steps, "padding that no row needs"
        assert self.spec.is_ragged or lengths.min() == steps, "padding that it would compute with"
        assert {name: held.shape[1:] for name, held in state.items()} == {
            pair.input: tuple(pair.shape) for pair in self.manifest.state
        }
        self.runs.append([inputs[row, :length].copy() for row, length in enumerate(lengths)])
        value = np.full(rows, FIRST_HASH, dtype=np.float32)
        count = np.zeros(rows, dtype=np.float32)
        if state:
            value, count = state["hash"][:, 0], state["count"][:, 0, 0]
        weights = np.full((rows, steps), np.nan, dtype=np.float32)
        for step in range(steps):
            real = step < lengths
            cell = np.where(real, 10 * inputs[:, step, 0] + inputs[:, step, 1] + 1, np.nan)
            value = np.where(real, (value * FACTOR + cell) % MODULUS, value).astype(np.float32)
            count = (count + real).astype(np.float32)
            weights[real, step] = value[real]
        outputs = {"logits": np.stack([value, count], axis=1)}
        if any(output.name == "weights" for output in self.spec.outputs):
            outputs["weights"] = weights
        if self.manifest.state:
            outputs |= {"hash_out": value[:, None], "count_out": count[:, None, None]}
        return outputs

    def num_runs(self, sequence: Steps) -> int:
        """How many of the runs had a row that begins this sequence."""
        return sum(
            any(len(row) <= len(sequence) and (row == sequence[: len(row)]).all() for row in run)
            for run in self.runs
        )


class GatedModel(SumModel):
    """Holds in `run`, until the test lets runs through."""

    def __init__(self, manifest: Manifest) -> None:
        super().__init__(manifest)
        self._entered = threading.Semaphore(0)
        self._gate = threading.Semaphore(0)

    def run(self, inputs: NDArray[np.float32], lengths: NDArray[np.int64], state: Arrays) -> Arrays:
        """Run one batch, once the gate opens."""
        self._entered.release()
        assert self._gate.acquire(timeout=TIMEOUT_S), "the test never opened the gate"
        return super().run(inputs, lengths, state)

    def wait_entered(self) -> None:
        """Return when one more run stands before the gate."""
        assert self._entered.acquire(timeout=TIMEOUT_S), "nothing came to run"

    def open(self, runs: int = 1_000) -> None:
        """Let this many runs through; without a number, all that will ever come."""
        self._gate.release(runs)


class FailingModel(SumModel):
    """Raises on a batch in which any real step holds `MARK`."""

    def run(self, inputs: NDArray[np.float32], lengths: NDArray[np.int64], state: Arrays) -> Arrays:
        """Run one batch, or fail."""
        outputs = super().run(inputs, lengths, state)
        if any((row[:n] == MARK).any() for row, n in zip(inputs, lengths, strict=True)):
            raise ValueError("a marked step")
        return outputs


def marked(sequence: Steps, step: int = -1) -> Steps:
    """A copy of this sequence on whose `step` a `FailingModel` fails."""
    copy = sequence.copy()
    copy[step] = MARK
    return copy
