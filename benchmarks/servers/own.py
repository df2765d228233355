"""Our own server outside the race: other repositories and settings, the contestant's otherwise."""

from __future__ import annotations

import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from benchmarks.contestants.contestant import Contestant
from benchmarks.contestants.ending import stop
from benchmarks.servers.serving import Running, free_port
from service.manifest import MANIFEST_FILE

READY_TIMEOUT_S = 180.0


@contextmanager
def our_server(contestant: Contestant, repository: Path, **settings: object) -> Iterator[Running]:
    """Start it on another repository; `settings` as in `service.settings`, by the environment.

    Raises:
        RuntimeError: It does not become ready.
    """
    variables = {f"SEQSERVE_{name.upper()}": str(value) for name, value in settings.items()}
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    started_s, port = monotonic(), free_port()
    try:
        process = contestant.start(repository, port)
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    try:
        url = f"http://127.0.0.1:{port}/v2/health/ready"
        while not _answers(url):
            if process.poll() is not None or monotonic() - started_s > READY_TIMEOUT_S:
                raise RuntimeError(f"the server on {repository} did not become ready")
            sleep(0.02)
        yield Running(process.pid, "127.0.0.1", port, monotonic() - started_s)
    finally:
        stop(process)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def copy_bundle(version: Path, repository: Path, name: str) -> None:
    """The same bundle under another name."""
    folder = repository / name / version.name
    shutil.copytree(version, folder)
    manifest = json.loads((folder / MANIFEST_FILE).read_bytes())
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest | {"name": name}))
