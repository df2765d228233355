"""Libraries that come before the system's own, so that a real server sees faults of the system."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import CHECKOUT

HUNG_READS = CHECKOUT / "chaos" / "hung_reads.c"


class HungStorage:
    """What a server that is started within `environment` finds hung while told to.

    Args:
        folder: For what it needs.
        path: What has this in its path.
    """

    def __init__(self, folder: Path, path: Path) -> None:
        self._library = preload(HUNG_READS, folder / "hung_reads.so")
        self._gate = folder / "hangs"
        self._path = path

    @property
    def variables(self) -> dict[str, str]:
        """Of the server's environment."""
        return {"LD_PRELOAD": str(self._library), "HUNG_READS": f"{self._path}:{self._gate}"}

    def hang(self) -> None:
        """From now on."""
        self._gate.touch()

    def answer(self) -> None:
        """Again."""
        self._gate.unlink()


def preload(source: Path, library: Path) -> Path:
    """Compile a library of C."""
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Variables for the processes that are started meanwhile."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
