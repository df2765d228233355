"""Runs blocks of docs/export.md, and what their models say to some inputs.

    python -m tests.any_onnx.run_block FOLDER…

Each `block.py` is run in its folder, `…/CASE/1`, by a fork of its own: they share the imports, and
torch traces otherwise what it has traced before. The answers of its `model` to sequences alone, by
PyTorch, go into `wanted.npz` with the sequences.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
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


def run(folder: Path) -> None:
    """Run a folder's block, and write what is wanted of a server."""
    case = folder.parent.name
    with contextlib.chdir(folder):
        write_wanted(case, runpy.run_path("block.py")["model"])


def write_wanted(case: str, model: Any) -> None:
    """Its answers, into the current folder."""
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


def main(folders: list[str]) -> None:
    """Run all; exits with 1 if one fails."""
    import onnxscript  # noqa: F401
    import torch._dynamo  # noqa: F401

    forks = multiprocessing.get_context("fork")
    blocks = [forks.Process(target=run, args=[Path(folder)]) for folder in folders]
    for block in blocks:
        block.start()
        block.join()
    sys.exit(any(block.exitcode for block in blocks))


if __name__ == "__main__":
    main(sys.argv[1:])
