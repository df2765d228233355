"""Hostile bodies against a small container in which no bound was set: it must not be OOM-killed."""

from __future__ import annotations

import gzip
import http.client
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from docker_stack import logs, run, say, wait_healthy

MEMORY = "512m"
CLIENTS = 12
SECONDS = 20.0
TOO_LARGE, SMALL = 16 << 20, 64 << 10
"""Of bodies: refused unread, as the bound was made smaller than its default; and far below it."""
USED = ("/sys/fs/cgroup/memory.peak", "/sys/fs/cgroup/memory/memory.max_usage_in_bytes")

Kind: TypeAlias = tuple[str, bytes, dict[str, str]]
"""Path, body and headers."""


def survive_hostile(image: str) -> None:
    """Send them for a while; the process must be the one it was, and answer."""
    given = "-m", MEMORY, "--memory-swap", MEMORY, "--read-only", "--cap-drop", "ALL"
    container = run("docker", "run", "--detach", *given, "-p", "127.0.0.1::8000", image)
    try:
        wait_healthy(container, 120)
        port = int(run("docker", "port", container, "8000").rpartition(":")[2])
        kinds = list(hostile((TOO_LARGE, max_body_bytes(container), SMALL)))
        with ThreadPoolExecutor(CLIENTS) as pool:
            found = pool.map(lambda number: send(port, kinds, number), range(CLIENTS))
            statuses = sum(found, Counter[int]())
        state = json.loads(run("docker", "inspect", "--format", "{{json .State}}", container))
        if state["OOMKilled"] or not state["Running"]:
            raise RuntimeError(f"hostile bodies ended the container: {state}")
        if not statuses.keys() <= {400, 413, 422, 429}:
            raise RuntimeError(f"hostile bodies were answered {statuses}")
        wait_healthy(container, 30)
        peak = run(
            "docker", "exec", container, "sh", "-c", f"cat {' '.join(USED)} 2>/dev/null; true"
        )
        say(
            f"-m {MEMORY}: {sum(statuses.values())} hostile bodies answered "
            f"{dict(sorted(statuses.items()))}, most memory {int(peak.split()[0]) >> 20} MiB"
        )
    finally:
        run("docker", "rm", "--force", container)


def max_body_bytes(container: str) -> int:
    """What it says that it takes."""
    (line,) = (line for line in logs(container) if '"memory bounded"' in line)
    size: int = json.loads(line)["smaller"]["max_body_bytes"]
    return size


def send(port: int, kinds: Sequence[Kind], number: int) -> Counter[int]:
    """What one client's bodies are answered, each on a connection of its own."""
    statuses: Counter[int] = Counter()
    deadline_s = time.monotonic() + SECONDS
    while time.monotonic() < deadline_s:
        number += 1
        path, body, headers = kinds[number % len(kinds)]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("POST", path, body, headers)
            statuses[connection.getresponse().status] += 1
        except (BrokenPipeError, ConnectionResetError):  # it was refused before it was read
            statuses[413] += 1
        finally:
            connection.close()
    return statuses


def hostile(sizes: Iterable[int]) -> Iterator[Kind]:
    """What grows most when it is decoded, and what is refused late."""
    headers = {"Content-Type": "application/json"}
    for size in sizes:
        lists = b'{"sequences": [[' + b"[]," * (size // 3 - 8) + b"[]]]}"
        empty = b'{"sequences": [' + b"[]," * (size // 3 - 8) + b"[]]}"
        long = b'{"sequences": [[[' + b"1," * (size // 2 - 12) + b"1]]]}"
        words = b'{"texts": ["' + b"a " * (size // 2 - 12) + b'"]}'
        for body in (lists, empty, long):
            path = "/v1/models/digits-lstm/predict"
            yield path, body, headers
            yield path, gzip.compress(body, 1), headers | {"Content-Encoding": "gzip"}
        yield "/v1/models/pos-birnn/predict", words, headers
        yield "/v1/models/dates-gru/predict", words, headers
