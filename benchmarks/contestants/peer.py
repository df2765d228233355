"""A contestant as data: a program in a virtualenv of its own, and the wire it is asked over."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.contestants.wires import Wire

HERE = Path(__file__).parent
CHECKOUT = HERE.parent.parent
MODELS = frozenset({"lstm", "bigru", "transformer"})
NUM_FEATURES = 16  # of benchmarks.graphs, whose import would load torch
ANSWER_TIMEOUT_S = 10.0
MARK = "SEQSERVE_BENCH_PORT"  # in the environment of all that a server starts

QUIET = {
    "BENTOML_DO_NOT_TRACK": "True",
    "DO_NOT_TRACK": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""No server reports home while it is measured, or ever."""


def environments() -> Path:
    """The folder of the peers' virtualenvs and logs."""
    return Path(os.environ.get("SEQSERVE_BENCH_VENVS", CHECKOUT / ".bench-venvs")).resolve()


@dataclass(frozen=True)
class Program:
    """How a server is started.

    Args:
        arguments: Of the Python interpreter; `{repository}` and `{port}` are filled in.
        venv: The virtualenv in `environments()`; None for the interpreter that runs this.
        variables: Added to the environment.
    """

    arguments: tuple[str, ...]
    venv: str | None = None
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def python(self) -> Path:
        """The interpreter."""
        if self.venv is None:
            return Path(sys.executable)
        return environments() / self.venv / "bin" / "python"


@dataclass(frozen=True)
class Peer:
    """A contestant; `contestant.Contestant` says what each member means."""

    name: str
    server: str
    program: Program
    format: Wire
    settings: str
    pausable: bool = True
    models: frozenset[str] = MODELS

    @property
    def wire(self) -> Literal["json", "binary"]:
        """What its requests and answers are written in."""
        return self.format.kind

    def missing(self) -> str | None:
        """Why it can't start here; None if it can."""
        if self.program.python.exists():
            return None
        return f"not installed: python -m benchmarks.contestants.install {self.program.venv}"

    def start(self, repository: Path, port: int) -> subprocess.Popen[bytes]:
        """Start its server in a process group of its own; what it prints goes to a log file."""
        python = self.program.python
        filled = [
            argument.format(repository=repository.resolve(), port=port)
            for argument in self.program.arguments
        ]
        variables = {
            **os.environ,
            **QUIET,
            "PATH": f"{python.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(HERE / "shared"),
            "PYTHONUNBUFFERED": "1",
            MARK: str(port),
            **dict(self.program.variables),
        }
        logs = environments() / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        with (logs / f"{self.server}.log").open("wb") as log:
            return subprocess.Popen(
                [str(python), *filled],
                cwd=CHECKOUT if self.program.venv is None else logs,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def is_ready(self, address: tuple[str, int]) -> bool:
        """Whether it answers a request to every one of its models."""
        sequence = np.zeros((2, NUM_FEATURES), dtype=np.float32)
        return all(self._answers(address, self.request(model, [sequence])) for model in self.models)

    def _answers(self, address: tuple[str, int], request: bytes) -> bool:
        head, _, body = request.partition(b"\r\n\r\n")
        first, *fields = head.decode().split("\r\n")
        connection = http.client.HTTPConnection(*address, timeout=ANSWER_TIMEOUT_S)
        try:
            connection.request(
                "POST", first.split()[1], body, dict(line.split(": ", 1) for line in fields)
            )
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status == 200 and len(self.logits(content, headers)) == 1

    def request(self, model: str, sequences: list[NDArray[np.float32]]) -> bytes:
        """The bytes of a whole HTTP/1.1 request, keep-alive, for sequences (time, 16)."""
        return self.format.request(model, sequences)

    def logits(self, body: bytes, headers: dict[str, str]) -> NDArray[np.float32]:
        """The answer, float32 (batch, 10), of a body with headers (names in lower case)."""
        return self.format.logits(body, headers)
