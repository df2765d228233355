"""What a process and all its descendants use."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """The process and its descendants."""
    children: dict[int, list[int]] = {}
    for folder in PROC.glob("[0-9]*"):
        with suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    found, left = [], [pid]
    while left:
        found.append(left.pop())
        left.extend(children.get(found[-1], []))
    return found


def cpu_s(pids: list[int]) -> float:
    """CPU seconds that these have used so far, user and system."""
    ticks = 0
    for pid in pids:
        with suppress(OSError):
            fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_A_SECOND


def resident_mib(pids: list[int]) -> float:
    """Resident memory of these together; a page that several share counts once (PSS)."""
    kib = 0
    for pid in pids:
        with suppress(OSError):
            for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kib += int(line.split()[1])
    return kib / 1_024


def loops_and_others_s(pids: list[int]) -> tuple[float, float]:
    """CPU seconds that the main threads of these have used so far, and all their other threads."""
    seconds = [0.0, 0.0]
    for pid in pids:
        for thread in (PROC / str(pid) / "task").glob("[0-9]*"):
            with suppress(OSError):
                nanoseconds = int((thread / "schedstat").read_text().split()[0])
                seconds[int(thread.name) != pid] += nanoseconds / 1e9
    return seconds[0], seconds[1]
