"""What a server that was killed whole leaves goes with the next start, and nothing else does."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from service.temporary import HeldFolder, remove_abandoned
from service.workers.counters import PREFIX
from tests.servers import Server, wait_until
from tests.workers.processes import counters_folder, is_running, workers


def test_a_folder_goes_when_the_last_of_its_processes_is_dead(server: Server) -> None:
    folder = counters_folder(server)
    pids = [*workers(server).values(), server.process.pid]
    remove_abandoned(PREFIX, folder.parent)
    assert folder.is_dir(), "it is used"
    for pid in reversed(pids):  # the supervisor first, or there would be others
        os.kill(pid, signal.SIGKILL)
    server.process.wait()
    wait_until(lambda: not any(map(is_running, pids)))
    if folder.is_dir():  # a worker may have had the time
        remove_abandoned(PREFIX, folder.parent)
    assert not folder.exists()
    server.process.returncode = 0  # as wanted


def test_what_is_held_or_no_folder_of_ours_stays(tmp_path: Path) -> None:
    held = HeldFolder(PREFIX, tmp_path)
    link, other, left = (tmp_path / name for name in (f"{PREFIX}link", "other", f"{PREFIX}left"))
    other.mkdir()
    left.mkdir()
    (left / "file").touch()
    link.symlink_to(other)
    remove_abandoned(PREFIX, tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([Path(held.name), link, other])
    held.cleanup()
    assert sorted(tmp_path.iterdir()) == sorted([link, other])


def test_who_begins_while_another_removes_has_a_folder_all_the_same(tmp_path: Path) -> None:
    enough = threading.Event()

    def remove() -> None:
        while not enough.is_set():
            remove_abandoned(PREFIX, tmp_path)

    remover = threading.Thread(target=remove)
    remover.start()
    try:
        for _ in range(300):
            with HeldFolder(PREFIX, tmp_path) as name:
                (Path(name) / "file").write_bytes(b"kept")
                assert (Path(name) / "file").read_bytes() == b"kept"
    finally:
        enough.set()
        remover.join()
