"""What every contestant is asked: the same sequences, and the right answers to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.graphs import NUM_FEATURES
from benchmarks.servers.serving import Reference, mixed_lengths
from service.manifest import Precision

SHORT_STEPS = 32
"""A request whose sequences are at most this long counts as short."""
OTHERS, SHORT = 0, 1  # groups of the load generator
TOLERANCE = 1e-4  # of a logit, absolute

Sequences = list[NDArray[np.float32]]


@dataclass(frozen=True)
class Pool:
    """Requests, each of one or more sequences (time, 16), that are sent in random order."""

    name: str
    requests: list[Sequences]

    def group(self, index: int) -> int:
        """What the latency of this request counts under."""
        return SHORT if max(map(len, self.requests[index])) <= SHORT_STEPS else OTHERS


def draw_sequences(lengths: Sequence[int], seed: int = 0) -> Sequences:
    """Standard normal features, float32 (time, 16) each, at the full precision of the type."""
    random = np.random.default_rng(seed)
    return [random.standard_normal((n, NUM_FEATURES)).astype(np.float32) for n in lengths]


def fixed_pool(steps: int, sequences: int = 1, count: int = 256) -> Pool:
    """`count` requests of so many sequences of `steps` steps."""
    drawn = draw_sequences([steps] * (count * sequences))
    requests = [drawn[i : i + sequences] for i in range(0, len(drawn), sequences)]
    return Pool(f"f{steps}" if sequences == 1 else f"b{sequences}", requests)


def mixed_pool(count: int = 512) -> Pool:
    """Requests of one sequence each, log-normal lengths of 8..256 steps, median 40."""
    lengths = mixed_lengths(count, np.random.default_rng(7)).tolist()
    return Pool("var", [[sequence] for sequence in draw_sequences(lengths)])


def pool(name: str) -> Pool:
    """The pool of a case: `var`, `b32`, or `f64` for a fixed 64 steps."""
    if name == "var":
        return mixed_pool()
    if name == "b32":
        return fixed_pool(64, sequences=32, count=16)
    return fixed_pool(int(name.removeprefix("f")))


def expected_logits(
    repository: Path, model: str, precision: Precision, asked: Pool
) -> list[NDArray[np.float32]]:
    """Of each request, (sequences, classes), by onnxruntime alone, one sequence at a time."""
    reference = Reference(repository / model / "1", precision)
    return [np.stack([reference.logits(s) for s in request]) for request in asked.requests]
