"""The load generator of `benchmarks/load/`, compiled on first use, and what it measured."""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).parent / "load"
PROGRAM = SOURCES / "build" / "load"
COMPILE = ["gcc", "-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror"]
ONCE_TIMEOUT_S = 60.0


class GeneratorError(Exception):
    """The load generator can't be compiled or did not run through."""


@dataclass(frozen=True)
class Prepared:
    """One request, ready to be sent.

    Args:
        bytes: A whole HTTP/1.1 request.
        group: What its latency is counted under as well, 0..15.
    """

    bytes: bytes
    group: int = 0


@dataclass(frozen=True)
class Answer:
    """What came back for one prepared request."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Load:
    """How to ask; all times in seconds.

    Args:
        connections: Kept alive, each with one request at a time.
        seconds: Measured, after `warmup_s` that are not.
        rate: Requests a second that arrive whatever the server does; None: a closed loop.
        deadline_s: Later answers are no goodput.
        drop_when_busy: An arrival that finds no idle connection is dropped; else it waits.
        drain_s: What is asked by the end may still be answered for so long.
    """

    connections: int
    seconds: float
    warmup_s: float = 0.5
    rate: float | None = None
    deadline_s: float | None = None
    drop_when_busy: bool = False
    drain_s: float = 5.0
    seed: int = 0

    def flags(self) -> list[str]:
        """For the program."""
        flags = {
            "connections": self.connections,
            "seconds": self.seconds,
            "warmup": self.warmup_s,
            "drain": self.drain_s,
            "seed": self.seed,
            "drop-when-busy": int(self.drop_when_busy),
        }
        if self.rate is not None:
            flags["rate"] = self.rate
        if self.deadline_s is not None:
            flags["deadline-ms"] = 1_000 * self.deadline_s
        return [word for name, value in flags.items() for word in (f"--{name}", str(value))]


def program() -> Path:
    """The compiled generator; compiled now unless it is newer than its sources.

    Raises:
        GeneratorError: There is no gcc, or it refuses.
    """
    sources = sorted(SOURCES.glob("*.[ch]"))
    newest_s = max(source.stat().st_mtime for source in sources)
    if PROGRAM.exists() and PROGRAM.stat().st_mtime > newest_s:
        return PROGRAM
    PROGRAM.parent.mkdir(exist_ok=True)
    fresh = PROGRAM.with_suffix(".new")
    units = [str(source) for source in sources if source.suffix == ".c"]
    try:
        subprocess.run([*COMPILE, "-o", str(fresh), *units, "-lm"], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise GeneratorError(f"the load generator needs gcc to be compiled: {error}") from error
    fresh.rename(PROGRAM)
    return PROGRAM


def write_prepared(path: Path, requests: Sequence[Prepared]) -> Path:
    """Write requests as the generator reads them: (uint32 group, uint32 size, bytes) each."""
    with path.open("wb") as file:
        for request in requests:
            file.write(struct.pack("<II", request.group, len(request.bytes)))
            file.write(request.bytes)
    return path


def run_load(address: tuple[str, int], requests: Path, load: Load) -> dict[str, Any]:
    """Ask, and give counts and latencies as the generator printed them (`load/tally.c`).

    Raises:
        GeneratorError: It failed; what it said.
    """
    return _run(address, requests, load.flags(), load.seconds + load.warmup_s + load.drain_s + 30.0)


def ask_each(
    address: tuple[str, int], requests: Path, folder: Path, connections: int
) -> list[Answer | None]:
    """Ask each prepared request once; the answers in the requests' order, None for none.

    Args:
        folder: For a scratch file.

    Raises:
        GeneratorError: It failed; what it said.
    """
    path = folder / "answers.bin"
    load = Load(connections, ONCE_TIMEOUT_S, warmup_s=0.0)
    flags = [*load.flags(), "--once", "1", "--answers", str(path)]
    _run(address, requests, flags, ONCE_TIMEOUT_S + 30.0)
    answers: list[Answer | None] = [None] * _count(requests)
    for index, answer in _read_answers(path.read_bytes()):
        answers[index] = answer
    return answers


def _run(
    address: tuple[str, int], requests: Path, flags: list[str], timeout_s: float
) -> dict[str, Any]:
    host, port = address
    command = [str(program()), "--host", host, "--port", str(port), "--requests", str(requests)]
    try:
        done = subprocess.run(
            [*command, *flags], capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise GeneratorError(f"the load generator did not end in {timeout_s:g} s") from error
    if done.returncode:
        raise GeneratorError(done.stderr.decode())
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _count(requests: Path) -> int:
    count = at = 0
    data = requests.read_bytes()
    while at < len(data):
        at += 8 + int(struct.unpack_from("<II", data, at)[1])
        count += 1
    return count


def _read_answers(data: bytes) -> list[tuple[int, Answer]]:
    answers, at = [], 0
    while at < len(data):
        index, status, head_size, body_size = struct.unpack_from("<IIII", data, at)
        at += 16
        head, body = data[at : at + head_size], data[at + head_size : at + head_size + body_size]
        at += head_size + body_size
        lines = head.decode("latin-1").split("\r\n")[1:]
        pairs = [line.split(":", 1) for line in lines if ":" in line]
        headers = {name.strip().lower(): value.strip() for name, value in pairs}
        answers.append((index, Answer(status, headers, body)))
    return answers
