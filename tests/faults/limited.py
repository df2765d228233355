"""Processes that may have so much and no more, as in a container."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

CGROUPS = Path("/sys/fs/cgroup")
PEAKS = ("memory.peak", "memory.max_usage_in_bytes")


@contextmanager
def limited(command: str) -> Iterator[str]:
    """An interpreter that first limits itself by a command of the shell."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "python")
        path.write_text(f'#!/bin/bash\n{command} || exit 9\nexec {sys.executable} "$@"\n')
        path.chmod(0o755)
        yield str(path)


@contextmanager
def cgroup(limit_bytes: int) -> Iterator[Path | None]:
    """A new cgroup with so much memory, of version 1 or 2; None where there can't be one."""
    version_1 = (CGROUPS / "memory").is_dir()
    group = CGROUPS / ("memory" if version_1 else "") / f"seqserve-test-{os.getpid()}"
    limits: dict[str, Any] = {"memory.max": limit_bytes, "memory.swap.max": 0}
    if version_1:
        limits = {"memory.limit_in_bytes": limit_bytes}
    try:
        group.mkdir()
        for name, value in limits.items():
            (group / name).write_text(str(value))
    except OSError:
        with suppress(OSError):
            group.rmdir()
        yield None
        return
    try:
        yield group
    finally:
        group.rmdir()


def peak_bytes(group: Path) -> int | None:
    """The most that a cgroup had; None where the kernel does not say."""
    usage = next((group / it for it in PEAKS if (group / it).exists()), None)
    return None if usage is None else int(usage.read_text())
