"""What a server that was killed whole leaves goes with the next start, and nothing else does."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from service.workers.counters import PREFIX, YOUNG_S, remove_abandoned
from tests.servers import Server, wait_until
from tests.workers.processes import counters_folder, is_running, workers


def make_old(folder: Path) -> None:
    past_s = time.time() - 2 * YOUNG_S
    os.utime(folder, (past_s, past_s))


def test_a_folder_goes_when_the_last_of_its_processes_is_dead(server: Server) -> None:
    folder = counters_folder(server)
    pids = [*workers(server).values(), server.process.pid]
    make_old(folder)
    remove_abandoned(folder.parent)
    assert folder.is_dir(), "it is used"
    for pid in reversed(pids):  # the supervisor first, or there would be others
        os.kill(pid, signal.SIGKILL)
    server.process.wait()
    wait_until(lambda: not any(map(is_running, pids)))
    if folder.is_dir():  # a worker may have had the time
        make_old(folder)
        remove_abandoned(folder.parent)
    assert not folder.exists()
    server.process.returncode = 0  # as wanted


def test_what_is_new_or_no_folder_of_ours_stays(tmp_path: Path) -> None:
    new, link, other = (tmp_path / name for name in (f"{PREFIX}new", f"{PREFIX}link", "other"))
    new.mkdir()
    other.mkdir()
    link.symlink_to(other)
    make_old(other)
    remove_abandoned(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([new, link, other])
    make_old(new)
    remove_abandoned(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([link, other])
