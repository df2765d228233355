"""A real Prometheus with the shipped configuration and rules, but for how long things take."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.servers import CHECKOUT, wait_until

SHIPPED = CHECKOUT / "deploy" / "prometheus"
WINDOW = "20s"  # in place of every longer one
SHORTER = {
    r"(scrape_interval|evaluation_interval|interval): \d+s": r"\1: 1s",
    r"for: \d+m": "for: 1s",
    r"\[\d+[mhd]\]": f"[{WINDOW}]",
}


class Prometheus:
    """A running one.

    Args:
        url: Where it listens.
    """

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=f"{url}/api/v1", timeout=30)

    def get(self, path: str, **query: str) -> Any:
        """What its API answers."""
        answer = self._client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Samples that are numbers."""
        found = self.get("/query", query=expression)["result"]
        return [it for it in found if it["value"][1] not in ("NaN", "+Inf", "-Inf")]

    def firing(self) -> list[dict[str, str]]:
        """The labels of the alerts that fire."""
        return [it["labels"] for it in self.get("/alerts")["alerts"] if it["state"] == "firing"]

    def fires(self, alert: str, **labels: str) -> bool:
        """Whether this alert fires."""
        wanted = {"alertname": alert, **labels}.items()
        return any(it.items() >= wanted for it in self.firing())

    def close(self) -> None:
        self._client.close()


def shortened(folder: Path, target: str) -> Path:
    """A copy of the shipped configuration that scrapes `target`, and takes seconds."""
    copied = shutil.copytree(SHIPPED, folder / "prometheus")
    for path in (copied / "prometheus.yml", *(copied / "rules").glob("*.yml")):
        text = path.read_text()
        for pattern, replacement in SHORTER.items():
            text = re.sub(pattern, replacement, text)
        path.write_text(text.replace('"seqserve:8000"', f'"{target}"'))
    assert target in (copied / "prometheus.yml").read_text()
    return copied / "prometheus.yml"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def prometheus_of(target: str, folder: Path) -> Iterator[Prometheus]:
    """A Prometheus that scrapes a server.

    Args:
        target: The server's host and port.
        folder: For its configuration, data and log.
    """
    address = f"127.0.0.1:{free_port()}"
    options = {
        "config.file": shortened(folder, target),
        "storage.tsdb.path": folder / "data",
        "web.listen-address": address,
        "enable-feature": "exemplar-storage",
        "log.level": "warn",
    }
    command = ["prometheus", *(f"--{name}={value}" for name, value in options.items())]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    prometheus = Prometheus(f"http://{address}")
    try:
        wait_until(lambda: _is_ready(address))
        yield prometheus
    finally:
        prometheus.close()
        process.terminate()
        process.wait(30)


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/-/ready").status_code == 200
    except httpx.TransportError:
        return False
