"""The copy of a remote repository on this machine: bundles appear, change and go as wholes.

`models/<model>/<version>` are symbolic links into `objects/`, since a link, unlike a folder, can be
replaced at one stroke: who looks finds the old bundle or the new one, at no time none.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from service.temporary import HeldFolder, remove_abandoned

PREFIX = "seqserve-cache-"
OBJECTS = Path("..", "..", "objects")  # as the links see it


class Mirror:
    """A cache folder.

    Args:
        cache: Made if it is not there; several processes may share it.
    """

    def __init__(self, cache: Path) -> None:
        self.path = cache / "models"
        """A repository's folder, `<model>/<version>/`."""
        self._objects = cache / "objects"
        self._lock = cache / "lock"
        for folder in (self.path, self._objects):
            folder.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Let no other process change the copy meanwhile."""
        with self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @property
    def is_empty(self) -> bool:
        """Whether there is no version of any model."""
        return not any(path.is_dir() for path in self.path.glob("*/*"))

    def put(self, place: str, fingerprint: str, fill: Callable[[Path], None]) -> None:
        """Have the content of this fingerprint at a place, whole or, if `fill` raises, not at all.

        Args:
            place: `<model>/<version>` for a folder, `<model>/<file>` for the one file in it.
            fingerprint: Of the content, all of it.
            fill: Writes the content into a new folder; not called if it is there already.
        """
        content = self._objects / fingerprint
        if not content.exists():
            with tempfile.TemporaryDirectory(dir=self._objects, prefix="partial-") as partial:
                folder = Path(partial, "content")
                folder.mkdir()
                fill(folder)
                folder.rename(content)
        name = Path(place).name
        target = OBJECTS / fingerprint / ("" if name.isdigit() else name)
        link = self.path / place
        if link.is_symlink() and link.readlink() == target:
            return
        link.parent.mkdir(exist_ok=True)
        new = self._objects / "link"
        new.unlink(missing_ok=True)
        new.symlink_to(target)
        new.replace(link)

    def keep(self, places: Collection[str]) -> None:
        """Remove what is at other places, and content that is at no place."""
        used = set()
        for link in self.path.glob("*/*"):
            if not link.is_symlink():  # not put here by the mirror
                continue
            if str(link.relative_to(self.path)) in places:
                used.add(link.readlink().parts[len(OBJECTS.parts)])
            else:
                link.unlink()
                with contextlib.suppress(OSError):  # other versions are there
                    link.parent.rmdir()
        for content in self._objects.iterdir():
            if content.is_symlink():  # of one that was killed as it put it in place
                content.unlink()
            elif content.name not in used:
                shutil.rmtree(content)


def cache_of(url: str, cache_dir: Path | None) -> Path:
    """The cache folder of a URL.

    Args:
        url: Of the remote repository, without what is secret and may change.
        cache_dir: That holds the caches; default: the user's cache directory, or where that can't
            be written to, a temporary one that goes when the process does.

    Raises:
        OSError: `cache_dir` can't be written to.
    """
    name = hashlib.sha256(url.encode()).hexdigest()[:16]
    users = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "seqserve"
    cache = (cache_dir or users) / name
    try:
        cache.mkdir(parents=True, exist_ok=True)
        cache.joinpath("lock").touch()
    except OSError:
        if cache_dir is not None:
            raise
        remove_abandoned(PREFIX)
        folder = HeldFolder(PREFIX)
        atexit.register(folder.cleanup)
        cache = Path(folder.name)
    return cache
