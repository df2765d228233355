"""A run that is killed at any step goes on to the same result, bit for bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training.made import make_dataset, make_run
from training.fit.checkpoints import latest_checkpoint
from training.run import train_run

ROOT = Path(__file__).parents[2]
RUN = make_run("lstm", muon_learning_rate=2e-2, mixed_precision="bf16")  # two optimizers to resume

KILLED_RUN = """
import os, signal, sys
from pathlib import Path
import training.fit.checkpoints, training.fit.report
from tests.training.made import make_dataset, make_run
from tests.training.test_resume import RUN
from training.run import train_run
folder, moment, step = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
kill = lambda: os.kill(os.getpid(), signal.SIGKILL)

watch = training.fit.report.Reporter.watch
def watch_and_kill(self, progress, loss):
    watch(self, progress, loss)
    if moment == "step" and progress.step == step:
        kill()
training.fit.report.Reporter.watch = watch_and_kill

rename = Path.rename
def rename_or_kill(self, target):
    if moment == "checkpoint" and str(target).endswith(f"{step:08d}"):
        kill()
    return rename(self, target)
Path.rename = rename_or_kill
train_run(RUN, make_dataset(), folder, resume=True)
"""


def kill_run(folder: Path, moment: str, step: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED_RUN, str(folder), moment, str(step)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def result(folder: Path) -> tuple[dict[str, torch.Tensor], str, object]:
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["cpu_s"]
    model = torch.load(folder / "model.pt", weights_only=True)
    return model, (folder / "log.csv").read_text(), metrics


def test_a_killed_run_goes_on_to_the_same_result(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train_run(RUN, make_dataset(), whole)
    kill_run(killed, "checkpoint", 20)  # written, but not yet under its name
    assert latest_checkpoint(killed) == killed / "checkpoint-00000010"
    kill_run(killed, "step", 37)  # amid an epoch
    assert latest_checkpoint(killed) == killed / "checkpoint-00000030"
    train_run(RUN, make_dataset(), killed, resume=True)
    (weights, log, metrics), (resumed_weights, resumed_log, resumed_metrics) = map(
        result, (whole, killed)
    )
    assert weights.keys() == resumed_weights.keys()
    for name, value in weights.items():
        assert torch.equal(value, resumed_weights[name]), name
    assert resumed_log == log
    assert resumed_metrics == metrics


def test_a_run_is_not_resumed_with_other_settings(tmp_path: Path) -> None:
    metrics = train_run(make_run(steps=10), make_dataset(), tmp_path)
    assert train_run(make_run(steps=10), make_dataset(), tmp_path, resume=True) == metrics
    with pytest.raises(ValueError, match=r"recipe\.batch_size was 8, now 4"):
        train_run(make_run(steps=10, batch_size=4), make_dataset(), tmp_path, resume=True)


def test_without_resume_a_run_starts_over(tmp_path: Path) -> None:
    train_run(make_run(steps=20), make_dataset(), tmp_path)
    metrics = train_run(make_run(steps=10), make_dataset(), tmp_path)
    assert metrics["steps"] == 10
