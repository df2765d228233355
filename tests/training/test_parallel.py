"""Several processes that share each batch learn what one does that has it whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.servers import CHECKOUT
from tests.training.parallel import runs, train

# what gets accelerate to start several processes on CPUs, too; `--cpu` starts one alone
LAUNCH = "--multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no"


def launch(folder: Path) -> None:
    """As a user would, by `accelerate launch`."""
    command = ["accelerate.commands.launch", *LAUNCH.split(), "--main_process_port", "0"]
    done = subprocess.run(
        [sys.executable, "-m", *command, "-m", "tests.training.parallel", folder],
        cwd=CHECKOUT,
        env={
            **os.environ,
            "ACCELERATE_USE_CPU": "true",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(CHECKOUT),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.deep
def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    launch(two)
    train(one)
    for run, _ in runs():
        assert (two / f"{run.name}.processes").read_text() == "2"
        alone, shared = (torch.load(folder / f"{run.name}.pt") for folder in (one, two))
        assert alone.keys() == shared.keys()
        for name, value in alone.items():
            # sums of float32 in another order; a step changes weights by 0.01, STEPS of them more
            torch.testing.assert_close(shared[name], value, rtol=0, atol=1e-5, msg=name)
