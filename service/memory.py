"""How much memory there is, and how the C library keeps what was freed."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
from contextlib import suppress
from pathlib import Path

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # of malloc.h
KEPT_BYTES = 64 << 20
CGROUP = Path("/sys/fs/cgroup")


def available_bytes(cgroup: Path = CGROUP) -> int:
    """Memory that this process may have: of the machine, its container, its own limit."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        found.append(soft)
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # of cgroup versions 2 and 1
        with suppress(OSError, ValueError):  # of version 2, "max" is no limit
            found.append(int((cgroup / name).read_text()))
    return min(found)


def keep_freed_memory() -> None:
    """Keep up to 64 MiB of freed memory: requests come and go, and so would pages.

    By default glibc gives memory back as soon as 128 KiB at the heap's end are free, and the kernel
    then clears each page anew for the next request. Another C library is left as it is.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(TRIM_THRESHOLD, KEPT_BYTES)
    mallopt(TOP_PAD, 1 << 20)
    mallopt(MMAP_THRESHOLD, 8 << 20)  # of its own; larger ones are rare, and go back at once


def give_back_memory() -> None:
    """Give back what is freed by now, as of a model that is unloaded; not on the event loop."""
    gc.collect()  # what cycles hold of it; by itself Python would look for them much later
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
