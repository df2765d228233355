"""Servers on loopback that hold a repository: one that speaks S3, one of plain files over HTTP."""

from __future__ import annotations

import functools
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.remote.s3 import S3, free_port
from tests.servers import wait_until


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A server of S3's protocol; each test uses a bucket of its own."""
    pytest.importorskip("s3fs", reason="the extra `remote` is not installed")
    pytest.importorskip("moto.server", reason="moto, which speaks S3, is not installed")
    log = tmp_path_factory.mktemp("s3") / "log"
    with log.open("wb") as output:
        port = free_port()
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)],
            stdout=output,
            stderr=output,
        )
        try:
            server = S3(f"http://127.0.0.1:{port}")
            wait_until(lambda: server.is_up or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield server
        finally:
            process.terminate()
            process.wait()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Python's own server of files with HTML indexes: its URL, and the folder that it shows."""
    folder = tmp_path / "web"
    folder.mkdir()
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()
        thread.join()
