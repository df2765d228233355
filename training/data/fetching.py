"""Where a data file is: in the folder SEQSERVE_DATA_DIR, or in the user's cache, fetched once."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from pathlib import Path


def cache_folder() -> Path:
    """The user's, of this program."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seqserve"


def given_or_cached(*names: str) -> Path:
    """Where a file or folder of one of these names is; else where the first is to be, cached."""
    given = os.environ.get("SEQSERVE_DATA_DIR")
    for folder in [*([Path(given)] if given else []), cache_folder()]:
        for name in names:
            if (folder / name).exists():
                return folder / name
    return cache_folder() / names[0]


def fetched(url: str, *names: str, sha256: str | None = None) -> Path:
    """A data file, downloaded under the first name if it is nowhere.

    Raises:
        ValueError: What was downloaded has another digest; nothing is left of it.
        OSError: It can't be downloaded.
    """
    path = given_or_cached(*names)
    if not path.exists():
        download(url, path, sha256)
    return path


def download(url: str, path: Path, sha256: str | None = None) -> None:
    """Fetch a file whole or not at all; see `fetched`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    print(f"downloading {url}")
    try:
        urllib.request.urlretrieve(url, partial)
        found = hashlib.sha256(partial.read_bytes()).hexdigest()
        if sha256 not in (None, found):
            raise ValueError(f"{url} has sha256 {found}, expected {sha256}")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
