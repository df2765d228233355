"""How much memory there is, and how the C library keeps what was freed."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # of malloc.h
KEPT_BYTES = 64 << 20
KEPT_SHARE = 32
CGROUP = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")
LIMITS = ("memory.max", "memory.high", "memory.limit_in_bytes")
"""Of cgroups, version 2 (beyond the second it is slowed until it stands) and 1."""


def limit_bytes(cgroup: Path = CGROUP, own: Path = OWN_CGROUP) -> int | None:
    """What this process may have at most, less than the machine has; None: all of it.

    Its address space, its control group and all above that count, of version 1 or 2.

    Args:
        cgroup: Where the control groups are mounted.
        own: The file that names this process's.
    """
    found = [_machine_bytes()]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        found.append(soft)
    for group in _groups(cgroup, own):
        for name in LIMITS:
            with suppress(OSError, ValueError):  # of version 2, "max" is no limit
                found.append(int((group / name).read_text()))
    least = min(found)
    return least if least < found[0] else None


def _groups(cgroup: Path, own: Path) -> Iterator[Path]:
    """Folders that may hold a limit of this process, innermost first."""
    lines: list[str] = []
    with suppress(OSError):
        lines = own.read_text().splitlines()
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers and "memory" not in controllers.split(","):
            continue
        mounted = cgroup / "memory" if controllers else cgroup
        # a container may see the name that the machine has for it, but its own limit at the root
        for folder in (Path(path), *Path(path).parents):
            yield mounted / folder.relative_to("/")
    yield from (cgroup, cgroup / "memory")


def available_bytes() -> int:
    """Memory that this process may have: of the machine, its container, its own limit."""
    return limit_bytes() or _machine_bytes()


def _machine_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def keep_freed_memory() -> None:
    """Keep up to 64 MiB of freed memory: requests come and go, and so would pages.

    Each thread's arena may keep as much, so where there is a limit it is a small part of that.
    By default glibc gives memory back as soon as 128 KiB at the heap's end are free, and the kernel
    then clears each page anew for the next request. Another C library is left as it is.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    kept = min(KEPT_BYTES, available_bytes() // KEPT_SHARE)
    mallopt(TRIM_THRESHOLD, kept)
    mallopt(TOP_PAD, min(1 << 20, kept))
    mallopt(MMAP_THRESHOLD, kept // 8)  # of its own; larger ones are rare, and go back at once


def give_back_memory() -> None:
    """Give back what is freed by now, as of a model that is unloaded; not on the event loop."""
    gc.collect()  # what cycles hold of it; by itself Python would look for them much later
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
