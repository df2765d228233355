"""The worker processes of a server: who they are, and whose connections are where."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.http.refusals import check_serving
from tests.servers import START_S, Server

LSTM = "digits-lstm"
ESTABLISHED = "01"


def started(server: Server) -> list[tuple[int, int]]:
    """Index and process id of every worker that started so far, in their order."""
    events = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    return [(e["worker"], e["pid"]) for e in events if e["event"] == "worker started"]


def workers(server: Server) -> dict[int, int]:
    """The process id of each index's latest worker."""
    return dict(started(server))


def connections(server: Server) -> Counter[int]:
    """How many open connections of this server's port each latest worker has, by its index."""
    port = int(server.base_url.rpartition(":")[2])
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    open_inodes = {
        f"socket:[{row[9]}]"
        for row in rows
        if row[3] == ESTABLISHED and int(row[1].rpartition(":")[2], 16) == port
    }
    return Counter(
        {index: len(open_inodes & _files(pid)) for index, pid in workers(server).items()}
    )


def counters_folder(server: Server) -> Path:
    """Where the workers keep their metrics."""
    variables = Path(f"/proc/{workers(server)[0]}/environ").read_text().split("\0")
    return Path(dict(line.split("=", 1) for line in variables if line)["PROMETHEUS_MULTIPROC_DIR"])


def is_running(pid: int) -> bool:
    """Whether a thread of such a process has not ended: its files are open until the last has."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except FileNotFoundError:
        return False
    return any(_state(task) not in ("Z", "X", None) for task in tasks)


def _state(task: Path) -> str | None:
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def _files(pid: int) -> set[str]:
    files = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            files.add(str(entry.readlink()))
        except FileNotFoundError:
            continue
    return files


@contextmanager
def held_open(server: Server, count: int) -> Iterator[list[httpx.Client]]:
    """Clients that each keep one connection, on which one request was answered."""
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(httpx.Client(base_url=server.base_url, timeout=START_S))
            for _ in range(count)
        ]
        for client in clients:
            check_serving(client, LSTM)
        yield clients


def forget_connections(server: Server) -> None:
    """Have the server's client begin anew."""
    server.client.close()
    del server.client
