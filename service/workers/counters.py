"""The folder that workers count in; what a server that was killed whole left, the next removes.

Each process of a server holds a shared lock on its folder, which ends with the process however it
ends: a folder on which nobody has one is nobody's.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

PREFIX = "seqserve-counters-"
SHARED_MEMORY = Path("/dev/shm")
YOUNG_S = 60.0
"""A folder this new may be one that its server has not locked yet."""


def make_folder() -> tempfile.TemporaryDirectory[str]:
    """An empty one, in memory if there can be one.

    Raises:
        OSError: There is no place for it.
    """
    parent = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    remove_abandoned(parent)
    return tempfile.TemporaryDirectory(prefix=PREFIX, dir=parent)


def hold(folder: str) -> int:
    """Say for as long as this process lives that the folder is used; the lock's descriptor."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def remove_abandoned(parent: Path) -> None:
    """Remove the folders of servers of which no process lives."""
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # another user's, or gone
            continue
        try:
            if time.time() - os.fstat(descriptor).st_mtime > YOUNG_S:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)
