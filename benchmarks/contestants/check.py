"""`python -m benchmarks.contestants.check [NAME ...]`: is every answer what onnxruntime says?

Each contestant is started, asked for mixed lengths by many connections at once, asked for many
sequences in one request, paused and asked again, and stopped; then nothing of it may be left.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.contestants.contestant import Contestant, contestants
from benchmarks.contestants.ending import stop
from benchmarks.contestants.peer import MARK
from benchmarks.contestants.shared.graph import Graph

NUM_CONNECTIONS, REQUEST_SEQUENCES, NUM_FEATURES = 48, 32, 16
READY_TIMEOUT_S, ANSWER_TIMEOUT_S, PAUSE_S = 120.0, 60.0, 6.0
TOLERANCE, TOLERANCE_INT8 = 1e-4, 2e-2

Sequences = list[NDArray[np.float32]]
Address = tuple[str, int]


@contextmanager
def running(contestant: Contestant, repository: Path) -> Iterator[tuple[Address, int]]:
    """Start it on a free port; its address and process group once it is ready.

    Raises:
        RuntimeError: It was not ready in time, or something of it outlived its end.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = free.getsockname()
    server = contestant.start(repository, address[1])
    try:
        _wait_until_ready(contestant, server, address)
        yield address, server.pid
    finally:
        stop(server)
    if left := _left(address[1]):
        raise RuntimeError(f"{contestant.server} left behind: {left}")


def _wait_until_ready(
    contestant: Contestant, server: subprocess.Popen[bytes], address: Address
) -> None:
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while not contestant.is_ready(address):
        if server.poll() is not None or time.monotonic() > deadline_s:
            raise RuntimeError(f"{contestant.server} is not ready; its log says why")
        time.sleep(0.2)


def _left(port: int) -> list[str]:
    """The commands of processes that carry the mark of the server of `port`."""
    mark = f"{MARK}={port}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found.append(f"{folder.name} {command}")
        except OSError:
            continue
    return found


def ask(contestant: Contestant, address: Address, model: str, sequences: Sequences) -> np.ndarray:
    """The logits of one request, over a connection of its own.

    Raises:
        RuntimeError: It answered anything but 200.
    """
    with socket.create_connection(address, timeout=ANSWER_TIMEOUT_S) as connection:
        connection.sendall(contestant.request(model, sequences))
        response = HTTPResponse(connection, method="POST")
        response.begin()
        body = response.read()
    if response.status != 200:
        raise RuntimeError(f"{contestant.name} answered {response.status}: {body[:300]!r}")
    headers = {name.lower(): value for name, value in response.getheaders()}
    return contestant.logits(body, headers)


def check(contestant: Contestant, repository: Path) -> str:
    """Its largest error by model, as a line.

    Raises:
        RuntimeError: An answer is wrong or missing, or something is left of the server.
    """
    said = []
    tolerance = TOLERANCE_INT8 if "int8" in contestant.name else TOLERANCE
    with running(contestant, repository) as (address, group):
        for model in sorted(contestant.models):
            error = max(
                _error(contestant, address, model, Graph(repository, model)),
                _error_after_pause(contestant, address, model, Graph(repository, model), group),
            )
            said.append(f"{model} {error:.1e}")
            if not error <= tolerance:
                raise RuntimeError(f"{contestant.name}, {model}: off by {error:.1e}")
    return ", ".join(said)


def _error_after_pause(
    contestant: Contestant, address: Address, model: str, graph: Graph, group: int
) -> float:
    if not contestant.pausable or model != "lstm":
        return 0.0
    os.killpg(group, signal.SIGSTOP)
    time.sleep(PAUSE_S)
    os.killpg(group, signal.SIGCONT)
    return _error(contestant, address, model, graph)


def _error(contestant: Contestant, address: Address, model: str, graph: Graph) -> float:
    """The largest, of many requests at once: single sequences, then whole batches."""
    random = np.random.default_rng(0)

    def sequence() -> NDArray[np.float32]:
        length = int(np.clip(np.exp(random.normal(np.log(40.0), 0.7)), 8, 256))
        return random.standard_normal((length, NUM_FEATURES)).astype(np.float32)

    requests = [[sequence()] for _ in range(2 * NUM_CONNECTIONS)]
    requests += [[sequence() for _ in range(REQUEST_SEQUENCES)] for _ in range(2)]
    requests.append([random.standard_normal((64, NUM_FEATURES)).astype(np.float32)] * 32)
    with ThreadPoolExecutor(NUM_CONNECTIONS) as threads:
        answers = list(threads.map(lambda r: ask(contestant, address, model, r), requests))
    errors = [
        np.abs(row - graph.run_sequences([sequence])[0]).max()
        for request, answer in zip(requests, answers, strict=True)
        for sequence, row in zip(request, answer, strict=True)
    ]
    return float(max(errors))


def main() -> int:
    """Check those named, or all that are installed; 1 if one fails."""
    parser = argparse.ArgumentParser(description="Hold contestants against onnxruntime.")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--repository", type=Path, required=True, help="of the comparison's graphs")
    arguments = parser.parse_args()
    failed = 0
    for contestant in contestants():
        if arguments.names and contestant.name not in arguments.names:
            continue
        if reason := contestant.missing():
            print(f"{contestant.name:20} - {reason}", flush=True)
            continue
        try:
            print(f"{contestant.name:20} {check(contestant, arguments.repository)}", flush=True)
        except (RuntimeError, OSError, ValueError) as error:
            failed += 1
            print(f"{contestant.name:20} FAILED {error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
