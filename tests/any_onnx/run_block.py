"""Runs a block of docs/export.md in a process of its own, and what its model says to some inputs.

    python -m tests.any_onnx.run_block BLOCK CASE

The block's file is run in the current folder; the answers of its `model` to sequences alone, by
PyTorch, go into `wanted.npz` with the sequences.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

LENGTHS = (1, 2, 9, 20, 33)


def of_lengths(torch: Any, model: Any, sequence: Any) -> Any:
    return model(sequence, torch.tensor([sequence.shape[1]]))


def of_state(torch: Any, model: Any, sequence: Any) -> Any:
    return model(sequence, torch.zeros(2, 1, 8), torch.zeros(2, 1, 8))[0]


def of_nothing(torch: Any, model: Any, sequence: Any) -> Any:
    return model(sequence)


def of_mask(torch: Any, model: Any, sequence: Any) -> Any:
    return model(sequence, torch.zeros(sequence.shape, dtype=torch.bool))


CASES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "lengths": of_lengths,
    "packed": of_lengths,
    "state": of_state,
    "nostate": of_nothing,
    "mask": of_mask,
}


def main(block: str, case: str) -> None:
    """Run it, and write what is wanted of a server."""
    model = runpy.run_path(block)["model"]
    if case == "sklearn":
        texts = ["A GOOD play", "poor film"]
        np.savez("wanted.npz", texts=texts, probabilities=model.predict_proba(texts))
        return
    import torch

    torch.manual_seed(1)
    wanted = {}
    for length in LENGTHS:
        sequence = torch.randn(1, length, 3)
        if case == "mask":
            sequence = torch.randint(0, 100, (1, length))
        with torch.no_grad():
            answer = CASES[case](torch, model, sequence)
        wanted[f"sequence_{length}"] = sequence[0].numpy()
        wanted[f"answer_{length}"] = answer[0].numpy()
    np.savez("wanted.npz", **wanted)  # type: ignore[arg-type]


if __name__ == "__main__":
    main(*sys.argv[1:])
