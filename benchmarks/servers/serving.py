"""A server of the bundled models, and sequences of mixed lengths to send it."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from service.manifest import GRAPH_FILE, Manifest, Precision, read_graph, read_manifest

READY_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Running:
    """A server of ours that is ready.

    Args:
        ready_s: From its process's start to ready.
    """

    pid: int
    host: str
    port: int
    ready_s: float

    @property
    def url(self) -> str:
        """Of its root."""
        return f"http://{self.host}:{self.port}"


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def running_server(repository: Path, **settings: object) -> Iterator[Running]:
    """Start `python -m service` on a free port; gives it once it is ready.

    Args:
        settings: As in `service.settings`.

    Raises:
        RuntimeError: It does not become ready, or does not end well.
    """
    port = free_port()
    wanted = {"log_level": "warning", **settings, "port": port, "repository": repository}
    variables = {f"SEQSERVE_{name.upper()}": str(value) for name, value in wanted.items()}
    started_s = time.monotonic()
    server = subprocess.Popen([sys.executable, "-m", "service"], env={**os.environ, **variables})
    try:
        _wait_until_ready(server, f"http://127.0.0.1:{port}")
        yield Running(server.pid, "127.0.0.1", port, time.monotonic() - started_s)
    except BaseException:
        server.kill()
        server.wait()
        raise
    server.terminate()
    if server.wait(60) != 0:
        raise RuntimeError(f"the server ended with {server.returncode}")


def _wait_until_ready(server: subprocess.Popen[bytes], address: str) -> None:
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline_s and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/v2/health/ready", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.005)
    raise RuntimeError(f"the server at {address} was not ready within {READY_TIMEOUT_S:g} s")


class Reference:
    """A bundle's graph of one precision run by onnxruntime directly, one sequence at a time."""

    def __init__(self, folder: Path, precision: Precision = "fp32") -> None:
        self.manifest: Manifest = read_manifest(folder)
        self._session = onnxruntime.InferenceSession(
            read_graph(folder, self.manifest, precision), providers=["CPUExecutionProvider"]
        )

    def logits(self, sequence: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of each class, (classes,), for one sequence (time, features)."""
        manifest = self.manifest
        feed = {
            manifest.inputs.name: sequence[None],
            manifest.inputs.lengths: np.array([len(sequence)], dtype=np.int64),
        }
        for pair in manifest.state:
            feed[pair.input] = np.full((1, *pair.shape), pair.initial, dtype=np.float32)
        (logits,) = self._session.run([manifest.outputs.logits], feed)
        return logits[0]  # type: ignore[no-any-return]

    def probabilities(self, sequence: NDArray[np.float32]) -> NDArray[np.float64]:
        """Of each class, (classes,), for one sequence (time, features)."""
        logits = self.logits(sequence).astype(np.float64)
        exponentials = np.exp(logits - logits.max())
        return exponentials / exponentials.sum()  # type: ignore[no-any-return]


def bundles(repository: Path) -> list[Path]:
    """The version folders of every model that classifies frames, by name."""
    folders = sorted(path.parent for path in repository.glob(f"*/*/{GRAPH_FILE}"))
    return [folder for folder in folders if _classifies_frames(read_manifest(folder))]


def _classifies_frames(manifest: Manifest) -> bool:
    return manifest.task == "classification" and bool(manifest.inputs.features)


def mixed_lengths(count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Log-normal lengths, median 40, clipped to 8..256: as speech and text have them."""
    lengths = np.exp(random.normal(np.log(40.0), 0.7, count))
    return np.clip(lengths, 8, 256).astype(np.int64)


def make_sequences(
    manifest: Manifest, lengths: NDArray[np.int64], random: np.random.Generator
) -> list[NDArray[np.float32]]:
    """Random sequences (time, features) of the bundle's own means and deviations."""
    mean = np.array(manifest.profile.feature_means)
    deviation = np.array(manifest.profile.feature_deviations)
    return [
        np.round(mean + deviation * random.standard_normal((length, len(mean))), 3).astype(
            np.float32
        )
        for length in lengths
    ]


def machine() -> dict[str, str]:
    """What a result was measured on."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith(("model name", "CPU part"))
    ]
    return {
        "cpu": names[0] if names else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
    }


def write_result(path: Path, result: dict[str, object]) -> None:
    """Write a result as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
