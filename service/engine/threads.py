"""The cores this process really has: its affinity and its cgroup's quota, not the host's."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def available_cores(cgroup: Path = CGROUP) -> list[int]:
    """The numbers of the cores that this process may keep busy, at least one."""
    if hasattr(os, "sched_getaffinity"):
        cores = sorted(os.sched_getaffinity(0))
    else:
        cores = list(range(os.cpu_count() or 1))
    quota_us, period_us = _quota(cgroup)
    if quota_us > 0 and period_us > 0:
        cores = cores[: math.ceil(quota_us / period_us)]
    return cores


def worker_cores(workers: int, index: int, cgroup: Path = CGROUP) -> list[int]:
    """This worker's share of the cores, at least one; shared only if there are more workers."""
    cores = available_cores(cgroup)
    return cores[index::workers] or [cores[index % len(cores)]]


def pin_this_thread(core: int) -> None:
    """Keep the calling thread on one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})  # 0: this thread, not the process


def _quota(cgroup: Path) -> tuple[int, int]:
    """CPU time and the period it is for, in microseconds; a time below 1 means no limit."""
    try:
        if (cgroup / "cpu.max").exists():  # cgroup version 2: "max 100000" or "150000 100000"
            quota, period = (cgroup / "cpu.max").read_text().split()
            return (-1 if quota == "max" else int(quota)), int(period)
        quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text()
        return int(quota), int((cgroup / "cpu" / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return -1, 0
