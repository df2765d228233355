"""A stack of docker-compose.yml under its own project name, and the ways to talk to it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

ROOT = Path(__file__).resolve().parents[1]

T = TypeVar("T")


def say(text: str) -> None:
    """One line of the report."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def run(*command: str, stdin: str = "", environment: dict[str, str] | None = None) -> str:
    """A command's output; its error output goes to the exception when it fails."""
    done = subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        input=stdin,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        )
    return done.stdout.strip()


def fetch(url: str, body: bytes | None = None, content_type: str = "") -> tuple[int, Any]:
    """Status and JSON of an answer, past any proxy: all of this is on this machine."""
    headers = {"Content-Type": content_type} if content_type else {}
    try:
        with build_opener(ProxyHandler({})).open(Request(url, body, headers), timeout=30) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def wait_for(what: str, look: Callable[[], T | None], timeout_s: float) -> T:
    """Look again and again until there is something."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            if (found := look()) is not None:
                return found
        except (OSError, ValueError):  # nobody listens yet, or answers in JSON yet
            pass
        if time.monotonic() > deadline_s:
            raise RuntimeError(f"waited {timeout_s:.0f} s in vain for {what}")
        time.sleep(0.25)


def wait_healthy(container: str, timeout_s: float) -> None:
    """Return when Docker finds it healthy."""

    def healthy() -> bool | None:
        health = run("docker", "inspect", "--format", "{{.State.Health.Status}}", container)
        return health == "healthy" or None

    wait_for("Docker's health check", healthy, timeout_s)


def logs(container: str) -> list[str]:
    """What a container wrote to its error output, line by line."""
    command = ["docker", "logs", container]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stderr.splitlines()


def free_port() -> int:
    """A port that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def prometheus_here() -> str | None:
    """An image of Prometheus that is here already, of any version; None: the stack's is pulled."""
    named = os.environ.get("PROMETHEUS_IMAGE", "prom/prometheus")
    found = run("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", named)
    return next(iter(found.splitlines()), None)


class Stack:
    """Seqserve and Prometheus of docker-compose.yml, under a project name of their own."""

    def __init__(self) -> None:
        self.port, prometheus_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.prometheus_url = f"http://127.0.0.1:{prometheus_port}"
        self._compose = ("docker", "compose", "--project-name", f"seqserve-test-{os.getpid()}")
        self.environment = {
            "SEQSERVE_IMAGE": "seqserve:docker-test",
            "SEQSERVE_PORT": str(self.port),
            "PROMETHEUS_PORT": str(prometheus_port),
        }
        if prometheus := prometheus_here():
            self.environment["PROMETHEUS_IMAGE"] = prometheus

    def compose(self, *arguments: str) -> str:
        """`docker compose` with arguments."""
        return run(*self._compose, *arguments, environment=self.environment)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What Prometheus answers: samples that are numbers."""
        status, body = fetch(f"{self.prometheus_url}/api/v1/query?query={quote(expression)}")
        if status != 200:
            raise RuntimeError(f"Prometheus refuses {expression}: {body.get('error')}")
        return [sample for sample in body["data"]["result"] if sample["value"][1] != "NaN"]
