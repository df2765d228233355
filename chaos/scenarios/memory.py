"""Memory runs short: a graph wants gigabytes, the process has a limit, or its cgroup has."""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos.clients import asking
from chaos.report import Report
from tests.faults.asking import ask, check_answers
from tests.faults.limited import cgroup, limited, peak_bytes
from tests.faults.made import greedy, write_faulty
from tests.servers import REPOSITORY, Server, serving

LIMIT_BYTES = 700 << 20
FLOATS = 3e8  # 1.2 GB
TIMES = 20


def run_greedy(report: Report) -> None:
    """A run that wants 40 GB, and one that wants more than there are addresses."""
    with repository() as folder, serving(folder, forked=False) as server:
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
        peak = peak_bytes(group)
        if peak is not None:
            report.seen["most memory"] = f"{peak >> 20} of {LIMIT_BYTES >> 20} MiB"


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
