"""What the comparison's runner knows of a contestant, and all that there are."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.contestants.roster import ROSTER


class Contestant(Protocol):
    """A server under one of its wire formats."""

    @property
    def name(self) -> str:
        """As the report shows it."""

    @property
    def server(self) -> str:
        """Contestants of the same server share one running process."""

    @property
    def wire(self) -> Literal["json", "binary"]:
        """What its requests and answers are written in."""

    @property
    def settings(self) -> str:
        """One line for the report: what was chosen for it."""

    @property
    def pausable(self) -> bool:
        """Whether its process group may be stopped (SIGSTOP) and go on (SIGCONT)."""

    @property
    def models(self) -> frozenset[str]:
        """Those of lstm, bigru and transformer that it serves."""

    def missing(self) -> str | None:
        """Why it can't start here; None if it can."""

    def start(self, repository: Path, port: int) -> subprocess.Popen[bytes]:
        """Start its server, leader of a process group of its own, on 127.0.0.1.

        Args:
            repository: The folder made by `benchmarks.graphs.make_repository`; only read.
            port: Free; the ports that some peers need beside it are found by them.
        """

    def is_ready(self, address: tuple[str, int]) -> bool:
        """Whether it answers a request to every one of its models."""

    def request(self, model: str, sequences: list[NDArray[np.float32]]) -> bytes:
        """The bytes of a whole HTTP/1.1 request, keep-alive, for sequences (time, 16)."""

    def logits(self, body: bytes, headers: dict[str, str]) -> NDArray[np.float32]:
        """The answer, float32 (batch, 10), of a body with headers (names in lower case)."""


def contestants() -> list[Contestant]:
    """All of them, installed or not, ours first."""
    return list(ROSTER)
