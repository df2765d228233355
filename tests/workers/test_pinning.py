"""Pinned threads stay on their cores; nothing else of the process does."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.http.made import copy_bundle
from tests.http.refusals import check_serving
from tests.servers import serving
from tests.workers.processes import workers

CORES = sorted(os.sched_getaffinity(0))

pytestmark = pytest.mark.skipif(len(CORES) < 2, reason="on one core every thread is pinned to it")


def pinned(pid: int) -> Counter[int]:
    """How many threads of a process may run on one core only, by core."""
    affinities = [
        os.sched_getaffinity(int(task.name)) for task in Path(f"/proc/{pid}/task").iterdir()
    ]
    return Counter(core for cores in affinities if len(cores) == 1 for core in cores)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    copy_bundle("digits-lstm", tmp_path)
    return tmp_path


def test_each_engine_thread_has_a_core_and_the_cores_are_taken_in_turn(repository: Path) -> None:
    with serving(repository, pin_threads=True, engine_threads=len(CORES) + 1) as server:
        check_serving(server.client, "digits-lstm")
        assert pinned(server.process.pid) == Counter([*CORES, CORES[0]])


def test_workers_share_the_cores(repository: Path) -> None:
    with serving(repository, pin_threads=True, workers=2) as server:
        held = [pinned(pid) for pid in workers(server).values()]
        assert sum(held, Counter()) == Counter(CORES)


def test_without_the_setting_no_thread_is_pinned(repository: Path) -> None:
    with serving(repository) as server:
        assert not pinned(server.process.pid)
