"""Temporary folders that go with their process, however it ends: else the next start removes them.

Each process that uses one holds a shared lock on it, which ends with the process: a folder on which
nobody has one is nobody's.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from service.reading import waiting


class HeldFolder:
    """An empty folder of this process.

    Args:
        parent: Where it is made; default: the system's place for temporary files.
        prefix: Of its name.

    Raises:
        OSError: There is no place for it.
    """

    def __init__(self, prefix: str, parent: Path | None = None) -> None:
        self._descriptor = None
        while self._descriptor is None:
            self.name = tempfile.mkdtemp(prefix=prefix, dir=parent)
            self._descriptor = _try_to_hold(self.name)

    def __enter__(self) -> str:
        """Its path."""
        return self.name

    def __exit__(self, *_: object) -> None:
        """Remove it."""
        self.cleanup()

    def cleanup(self) -> None:
        """Remove it; a second time does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            shutil.rmtree(self.name, ignore_errors=True)
            os.close(descriptor)


def hold(folder: str) -> int:
    """Say for as long as this process lives that a folder is used; the lock's descriptor."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def _try_to_hold(folder: str) -> int | None:
    """The lock's descriptor; None if who removes abandoned folders had this one before."""
    try:
        descriptor = hold(folder)
    except FileNotFoundError:
        return None
    if Path(folder).exists():
        return descriptor
    os.close(descriptor)
    return None


def remove_abandoned(prefix: str, parent: Path | None = None) -> None:
    """Remove this user's folders of this name that no living process holds."""
    parent = parent or Path(tempfile.gettempdir())
    with waiting(f"looking at {parent}"):
        folders = list(parent.glob(f"{prefix}*"))
    for folder in folders:
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # another user's, or gone
            continue
        try:
            if os.fstat(descriptor).st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)
