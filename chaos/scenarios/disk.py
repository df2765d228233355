"""No room on the disk, or a disk that may only be read."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos.clients import asking
from chaos.report import Report
from tests.faults.preload import environment
from tests.lifecycle.asking import upload_of
from tests.servers import REPOSITORY, serving

MODEL = "digits-lstm"


def run_full(report: Report) -> None:
    """Uploads and the copies of a remote repository meet a full disk of 64 kB."""
    with tempfile.TemporaryDirectory() as name, mounted(Path(name), "size=64k") as small:
        if small is None:
            report.skipped = "needs the right to mount a tmpfs"
            return
        with environment(TMPDIR=str(small)):
            running = serving(ready=True)
            server = running.__enter__()
        with asking(server.base_url) as clients:
            body = {"parameters": {"config": "{}", **upload_of(REPOSITORY / MODEL)}}
            for _ in range(3):
                refused = server.client.post(f"/v2/repository/models/{MODEL}/load", json=body)
                report.require(
                    refused.status_code == 507,
                    f"upload: {refused.status_code} {refused.text[:200]}",
                )
                clients.wait_right(50)
            report.require(not any(small.iterdir()), "a part of an upload was left")
            report.seen["uploads"] = f"{refused.status_code} {refused.json()['code']}"
            tally = clients.stop()
        running.__exit__(None, None, None)
        report.count(tally)
        report.require(not tally.again, "a request was refused")
        with serving(
            f"file://{REPOSITORY}", cache_dir=small, ready=False, failures_expected=True
        ) as server:
            server.wait_for_line(lambda line: "No space left" in line)
            status = server.client.get("/v2/health/ready").status_code
            report.require(status == 503, f"ready says {status} without a model")
            report.seen["remote repository that can't be copied"] = f"ready says {status}"


def run_read_only(report: Report) -> None:
    """The folder of bundles can't be written: nothing of the server wants to."""
    with tempfile.TemporaryDirectory() as name, mounted(Path(name), "bind,ro") as folder:
        if folder is None:
            report.skipped = "needs the right to mount"
            return
        with (
            serving(folder / "repository", poll_repository_s=0.2, strict_readiness=False) as server,
            asking(server.base_url) as clients,
        ):
            for _ in range(3):
                loaded = server.client.post(f"/v2/repository/models/{MODEL}/load")
                report.require(loaded.status_code == 200, f"load: {loaded.text}")
                clients.wait_right(50)
            report.seen["loads"] = 3
            tally = clients.stop()
        report.count(tally)
        report.require(not tally.again, "a request was refused")


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path | None]:
    """The folder as a small disk; with `bind`, as the repository, not to be written."""
    if "bind" in options:
        (folder / "repository").mkdir()
        commands = [["mount", "--bind", str(REPOSITORY), str(folder / "repository")]]
        commands += [["mount", "-o", "remount,bind,ro", str(folder / "repository")]]
        target = folder / "repository"
    else:
        commands = [["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]]
        target = folder
    if any(subprocess.run(it, capture_output=True, check=False).returncode for it in commands):
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(target)], check=True)
