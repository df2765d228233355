"""Memory runs short: a graph wants gigabytes, the process has a limit, or its cgroup has."""

from __future__ import annotations

import os
import resource
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from chaos.clients import asking
from chaos.report import Report
from tests.faults.asking import ask, check_answers
from tests.faults.made import greedy, write_faulty
from tests.servers import REPOSITORY, Server, serving

CGROUPS = Path("/sys/fs/cgroup")
LIMIT_BYTES = 700 << 20
FLOATS = 3e8  # 1.2 GB
TIMES = 20


def run_greedy(report: Report) -> None:
    """A run that wants 40 GB, and one that wants more than there are addresses."""
    with repository() as folder, serving(folder) as server:
        press(report, server, 1e10, 1e17)


def run_address_space(report: Report) -> None:
    """The process may have 3 GiB of addresses (RLIMIT_AS), and graphs as much as malloc gives."""
    wrapped = f"ulimit -v {3 << 20}"
    with (
        repository() as folder,
        limited(wrapped) as python,
        serving(folder, python=python, max_graph_bytes=1 << 40) as server,
    ):
        limit = resource.prlimit(server.process.pid, resource.RLIMIT_AS)[0]
        report.require(limit == 3 << 30, "the limit is not in force")
        press(report, server, 1e9, 2e9)


def run_cgroup(report: Report) -> None:
    """The process's cgroup may have 700 MiB, and no swap."""
    with cgroup(LIMIT_BYTES) as group:
        if group is None:
            report.skipped = "needs a cgroup that one may write to"
            return
        wrapped = f"echo $$ > {group}/cgroup.procs"
        with (
            repository() as folder,
            limited(wrapped) as python,
            serving(folder, python=python, max_graph_bytes=LIMIT_BYTES // 2) as server,
        ):
            press(report, server, FLOATS, 1e10)
        usage = next((group / it for it in PEAKS if (group / it).exists()), None)
        if usage is not None:
            report.seen["most memory"] = (
                f"{int(usage.read_text()) >> 20} of {LIMIT_BYTES >> 20} MiB"
            )


PEAKS = ("memory.peak", "memory.max_usage_in_bytes")


def press(report: Report, server: Server, *floats: float) -> None:
    """Have runs want so many floats while clients ask another model; nothing else suffers."""
    with asking(server.base_url) as clients:
        for index in range(TIMES):
            answer = ask(server, "greedy", floats[index % len(floats)])
            report.require(
                answer.status_code == 503 and "Retry-After" in answer.headers,
                f"{answer.status_code} {answer.text[:200]}",
            )
            check_answers(server, "greedy")
            clients.wait_right(5)
        tally = clients.stop()
    report.count(tally)
    report.require(not tally.again, "a request to the other model was refused")
    report.seen |= {"runs refused": TIMES, "p99 ms of the other": tally.p99_ms()}


@contextmanager
def repository() -> Iterator[Path]:
    """A greedy model and a good one."""
    with tempfile.TemporaryDirectory() as name:
        folder = write_faulty(Path(name), greedy=greedy())
        (folder / "digits-lstm").symlink_to(REPOSITORY / "digits-lstm")
        yield folder


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
    group = CGROUPS / ("memory" if version_1 else "") / f"seqserve-chaos-{os.getpid()}"
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
