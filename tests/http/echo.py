"""A model whose every answer is a hash of the very bytes that it was given."""

from __future__ import annotations

import threading
import zlib
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from service.graphs.model import Arrays
from service.graphs.spec import spec_of
from service.manifest import Manifest
from tests.fakes import TIMEOUT_S, make_manifest

Kind = Literal["cells", "sequences", "weights"]
KINDS: tuple[Kind, ...] = ("cells", "sequences", "weights")

FAILS, NOT_FINITE = 12_345.5, 54_321.5
"""As the first feature of a sequence's last step: its batch fails, or its answer is NaN."""

EXPONENT = 0x7F800000


def echo_manifest(kind: Kind, name: str = "echo") -> Manifest:
    """The manifest of an `EchoModel`; `weights` is of the `sequences` scheduler and has some."""
    if kind == "cells":
        state = [{"input": "hash", "output": "hash_out", "shape": [2]}]
        return make_manifest("cells", name=name, state=state)
    return make_manifest("sequences", weights=kind == "weights", name=name)


class EchoModel:
    """Logits are the hash of a sequence, weights those of its steps; runs pass a gate.

    Args:
        manifest: Of its kind.
        salt: Makes its answers different from another's.
    """

    def __init__(self, manifest: Manifest, salt: bytes = b"") -> None:
        self.manifest = manifest
        self.spec = spec_of(manifest)
        self.gate = threading.Event()
        self.gate.set()
        self._salt = zlib.crc32(salt)
        self._entered = threading.Semaphore(0)

    def wait_entered(self) -> None:
        """Return when one more run has come to the gate."""
        assert self._entered.acquire(timeout=TIMEOUT_S), "nothing came to run"

    def has_entered(self) -> bool:
        """Whether a run that nobody waited for has come to the gate; each is told of once."""
        return self._entered.acquire(blocking=False)

    def run(self, inputs: NDArray[np.float32], lengths: NDArray[np.int64], state: Arrays) -> Arrays:
        """Run one batch."""
        self._entered.release()
        assert self.gate.wait(TIMEOUT_S), "the test never opened the gate"
        rows = [row[:length] for row, length in zip(inputs, lengths, strict=True)]
        if any(row[-1, 0] == FAILS for row in rows):
            raise ValueError("a step that fails")
        hashes = [self._salt] * len(rows)
        if state:  # halves, that float32 holds exactly
            hashes = [int(high) << 16 | int(low) for high, low in state["hash"].tolist()]
        hashes = [
            zlib.crc32(row.tobytes(), before) for row, before in zip(rows, hashes, strict=True)
        ]
        logits = as_floats([[value, zlib.crc32(b"more", value)] for value in hashes])
        for row, answer in zip(rows, logits, strict=True):
            if row[-1, 0] == NOT_FINITE:
                answer[:] = np.nan
        outputs = {"logits": logits}
        if self.manifest.state:
            outputs["hash_out"] = np.array(
                [[value >> 16, value & 0xFFFF] for value in hashes], dtype=np.float32
            )
        if self.manifest.outputs.weights:
            outputs["weights"] = np.full(inputs.shape[:2], np.nan, dtype=np.float32)
            for place, row in enumerate(rows):
                steps = [zlib.crc32(step.tobytes()) for step in row]
                outputs["weights"][place, : len(row)] = as_floats([steps])[0]
        return outputs


def as_floats(hashes: list[list[int]]) -> NDArray[Any]:
    """Any finite float32s, as wild as the hashes."""
    bits = np.array(hashes, dtype=np.uint32)
    bits[bits & EXPONENT == EXPONENT] &= ~np.uint32(0x40000000)
    return bits.view(np.float32)
