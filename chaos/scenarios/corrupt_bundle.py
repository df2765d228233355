"""Bad bundles dropped into the folder while it is watched: refused, and what serves serves on."""

from __future__ import annotations

import shutil
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from chaos.clients import asking
from chaos.report import Report
from tests.http.made import change_manifest
from tests.servers import REPOSITORY, Server, serving, wait_until

MODEL = "digits-lstm"


def run(report: Report) -> None:
    """Four kinds of bad bundles, then a good one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, MODEL)
        shutil.copytree(REPOSITORY / MODEL, folder)
        with (
            serving(Path(name), poll_repository_s=0.2) as server,
            asking(server.base_url, models=[MODEL]) as clients,
        ):
            for version, corrupt in enumerate(CORRUPT, start=2):
                new = Path(shutil.copytree(folder / "1", Path(name, ".new", str(version))))
                change_manifest(new, version=str(version))
                corrupt(new)
                new.rename(folder / str(version))
                wait_until(partial(is_in_state, server, str(version), "UNAVAILABLE"))
            clients.wait_right(100)
            report.seen["bad bundles refused"] = len(CORRUPT)
            copied_s = time.monotonic()
            shutil.rmtree(folder / "2")
            new = Path(shutil.copytree(folder / "1", Path(name, ".new", "9")))
            change_manifest(new, version="9")
            new.rename(folder / "9")
            wait_until(partial(is_in_state, server, "9", "READY"))
            report.seen["a good one served after"] = f"{time.monotonic() - copied_s:.1f} s"
            clients.wait_right(100)
            tally = clients.stop()
        report.count(tally)
        report.require(not tally.again, "a request was refused")


def is_in_state(server: Server, version: str, state: str) -> bool:
    """Whether the index says so of a version."""
    index = server.client.post("/v2/repository/index").json()
    return any((it["version"], it["state"]) == (version, state) for it in index)


def truncate(folder: Path) -> None:
    """Cut the graph in half."""
    graph = folder / "model.onnx"
    graph.write_bytes(graph.read_bytes()[: graph.stat().st_size // 2])


def garble(folder: Path) -> None:
    """Make the manifest no JSON."""
    (folder / "model.json").write_text('{"schema_version": ')


def noise(folder: Path) -> None:
    """A graph of noise and nothing that says what it should be."""
    (folder / "model.json").unlink()
    (folder / "model.onnx").write_bytes(np.random.default_rng(0).bytes(100_000))


def link_out(folder: Path) -> None:
    """A graph that lies elsewhere."""
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").symlink_to("/etc/passwd")


CORRUPT = (truncate, garble, noise, link_out)
