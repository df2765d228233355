"""A Unix socket, or every address of both kinds; and the health check that asks there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.http.made import copy_bundle
from tests.http.payloads import frames, infer_body, infer_path
from tests.security.authority import Authority
from tests.servers import CHECKOUT, START_S, STOP_S, serving, wait_until

MODEL = "digits-lstm"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    copy_bundle(MODEL, tmp_path / "repository")
    return tmp_path / "repository"


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def health(**settings: object) -> int:
    """What the container's check says in the environment of a server."""
    environment = {f"SEQSERVE_{name.upper()}": str(value) for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-m", "service.healthcheck"],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], **environment},
        check=False,
    ).returncode


def over(path: Path) -> httpx.Client:
    transport = httpx.HTTPTransport(uds=str(path))
    return httpx.Client(base_url="http://server", transport=transport, timeout=START_S)


def check_serves(client: httpx.Client) -> None:
    wait_until(lambda: client.get("/v2/health/ready").status_code == 200)
    for _ in range(3):
        assert client.post(infer_path(), json=infer_body(frames(3))).status_code == 200


@pytest.mark.parametrize("workers", [1, 2])
def test_a_unix_socket(repository: Path, tmp_path: Path, workers: int) -> None:
    path = tmp_path / "http.sock"
    with serving(repository, ready=False, uds=path, workers=workers) as server:
        server.wait_for_line(lambda line: f"running on unix socket {path}" in line)
        with over(path) as client:
            check_serves(client)
            assert path.stat().st_mode & 0o777 == 0o666
            assert health(uds=path) == 0
            second = subprocess.run(
                [sys.executable, "-m", "service", "--uds", str(path), "--repository", repository],
                cwd=CHECKOUT, capture_output=True, text=True, timeout=STOP_S, check=False,
            )  # fmt: skip
            assert second.returncode == 3
            assert f"uds: {path} is in use" in second.stderr
            check_serves(client)
    assert not path.exists()
    assert health(uds=path) == 1


def test_a_unix_socket_that_was_left_behind(repository: Path, tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))  # and the file stays when it is closed
    path.chmod(0o600)
    with serving(repository, ready=False, uds=path) as server, over(path) as client:
        server.wait_for_line(lambda line: "running on unix socket" in line)
        check_serves(client)
        assert path.stat().st_mode & 0o777 == 0o600  # as it was


def test_another_file_is_left_alone(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / ("x" * 200), tmp_path / "none" / "http.sock"):
        ended = subprocess.run(
            [sys.executable, "-m", "service", "--uds", str(path), "--repository", repository],
            cwd=CHECKOUT, capture_output=True, text=True, timeout=STOP_S, check=False,
        )  # fmt: skip
        assert ended.returncode == 3
        assert f"uds: {path}" in ended.stderr
        assert "Traceback" not in ended.stderr
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("workers", [1, 2])
def test_every_address_is_of_both_kinds(repository: Path, workers: int) -> None:
    with serving(repository, ready=False, host="::", workers=workers) as server:
        port = httpx.URL(server.base_url).port
        for host in ("[::1]", "127.0.0.1"):
            with httpx.Client(base_url=f"http://{host}:{port}", timeout=START_S) as client:
                check_serves(client)
        for host in ("::", "::1", "127.0.0.1", "0.0.0.0"):
            assert health(host=host, port=port) == 0


def test_the_health_check_speaks_tls(repository: Path, tmp_path: Path) -> None:
    pair = Authority(tmp_path).issue("server")
    tls: dict[str, Any] = {"tls_certificate": pair.certificate, "tls_key": pair.key}
    path = tmp_path / "https.sock"
    with serving(repository, ready=False, host="127.0.0.1", **tls) as server:
        port = httpx.URL(server.base_url).port
        wait_until(lambda: health(host="0.0.0.0", port=port, **tls) == 0)
        assert health(host="0.0.0.0", port=port) == 1
    with serving(repository, ready=False, uds=path, **tls) as server:
        server.wait_for_line(lambda line: "running on unix socket" in line)
        wait_until(lambda: health(uds=path, **tls) == 0)
