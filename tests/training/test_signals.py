"""Trainings whose output is no terminal say where they are; signals end them at once, to go on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import CHECKOUT
from tests.training.made import write_recipe
from training.fit.checkpoints import latest_checkpoint
from training.processes import CommandFailedError, run_all

LINE = (
    r"peaks-rnn seed 0: step \d+ of 1000000, loss \d\.\d{3}, validation [01]\.\d{4}, "
    r"\d+ s, at most \d+ s left\n"
)

# with a line a step
WATCHED = """
import sys, training.fit.report
training.fit.report.LINE_EVERY_S = 0.0
from training.__main__ import main
main(sys.argv[1:])
"""


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that are gone when a test ends."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def start(command: list[object]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=CHECKOUT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a group of its own, as a shell's foreground job has
    )


def until(process: subprocess.Popen[str], word: str) -> list[str]:
    """The lines up to the first with this word."""
    lines: list[str] = []
    assert process.stdout
    for line in process.stdout:
        lines.append(line)
        if word in line:
            return lines
    raise AssertionError((lines, process.communicate()[1]))


def endless(folder: Path) -> Path:
    """A recipe of three seeds that never gets to its end."""
    recipe = write_recipe(folder)
    text = recipe.read_text().replace("steps = 3", "steps = 1000000\npatience = 1000000")
    recipe.write_text(text.replace('family = "rnn"', 'family = "rnn"\nseeds = [0, 1, 2]'))
    return recipe


@pytest.mark.parametrize(
    ("number", "whole_group", "code"),
    [
        (signal.SIGINT, True, 130),
        pytest.param(signal.SIGTERM, False, 143, marks=pytest.mark.deep),
    ],
)
def test_bundles_end_at_once_and_start_no_other_seed(
    tmp_path: Path,
    started: list[subprocess.Popen[str]],
    number: signal.Signals,
    whole_group: bool,
    code: int,
) -> None:
    recipe = endless(tmp_path)
    command = ["-m", "training", "bundles", recipe, "--jobs", "1", "--run-dir", tmp_path / "runs"]
    process = start([*command, "--repository", tmp_path / "bundles"])
    started.append(process)
    until(process, "training begins")
    if whole_group:  # as a terminal does
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    out, err = process.communicate(timeout=15)
    assert process.returncode == code
    assert err == "stopped: the same command goes on from the last checkpoint\n"
    assert "Traceback" not in out
    with pytest.raises(ProcessLookupError):  # none of its processes is left
        os.killpg(process.pid, 0)
    assert [path.name for path in (tmp_path / "runs" / "peaks-rnn").iterdir()] == ["seed-0"]


def test_a_run_says_where_it_is_and_keeps_its_checkpoint(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    recipe = endless(tmp_path)
    run = ["-c", WATCHED, "run", recipe, "--run-dir", tmp_path / "runs"]
    process = start(run)
    started.append(process)
    *_, line = until(process, "validation")
    assert re.fullmatch(LINE, line), line
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=15)
    assert process.returncode == 130
    assert err == "stopped: the same command goes on from the last checkpoint, with --resume\n"
    checkpoint = latest_checkpoint(tmp_path / "runs" / "peaks-rnn" / "seed-0")
    assert checkpoint
    resumed = start([*run, "--resume"])
    started.append(resumed)
    *_, line = until(resumed, ": step")
    assert int(line.split(": step ")[1].split()[0]) > int(checkpoint.name.split("-")[1])


def test_a_failure_is_told_and_ends_the_others(tmp_path: Path) -> None:
    waits = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]
    fails = [sys.executable, "-c", "import sys; sys.exit('no such thing')"]
    with pytest.raises(CommandFailedError, match="no such thing"):
        run_all([waits, fails, waits], 2, os.environ)
