"""TLS and client certificates, over HTTP and gRPC, with one process and several."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from tritonclient.grpc.service_pb2 import ServerLiveRequest
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from tests.fakes import TIMEOUT_S
from tests.http.payloads import frames, infer_body, infer_path
from tests.http.scrape import Scrape
from tests.security.authority import Authority, Pair
from tests.servers import CHECKOUT, START_S, Server, serving, wait_until


@contextmanager
def serving_tls(context: ssl.SSLContext, **settings: Any) -> Iterator[Server]:
    with serving(ready=False, **settings) as server:
        assert server.base_url.startswith("https://")
        server.client = httpx.Client(base_url=server.base_url, verify=context, timeout=START_S)
        server.wait_ready()
        yield server


def settings_of(pair: Pair) -> dict[str, Any]:
    return {"tls_certificate": pair.certificate, "tls_key": pair.key}


def trusting(authority: Authority, own: Pair | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    if own is not None:
        context.load_cert_chain(own.certificate, own.key)
    return context


def serial(server: Server, context: ssl.SSLContext) -> object:
    """Of the certificate that a new connection is shown."""
    with (
        connect(server) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        shown = connection.getpeercert()
        assert shown
        return shown["serialNumber"]


def connect(server: Server) -> socket.socket:
    url = httpx.URL(server.base_url)
    assert url.port is not None
    return socket.create_connection((url.host, url.port), timeout=TIMEOUT_S)


def check_infers(client: httpx.Client) -> None:
    for _ in range(3):
        assert client.post(infer_path(), json=infer_body(frames(5))).status_code == 200


def test_https_with_several_workers_and_grpc(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("server")
    context = trusting(authority)
    options: dict[str, Any] = {"workers": 2, "engine_threads": 1, "grpc_port": 0}
    with serving_tls(context, **settings_of(pair), **options) as server:
        check_infers(server.client)
        answer = server.client.get("/v2/health/live")
        assert "max-age" in answer.headers["Strict-Transport-Security"]
        address = server.wait_for_event("gRPC started")["address"]
        roots = authority.certificate.read_bytes()
        with grpc.secure_channel(address, grpc.ssl_channel_credentials(roots)) as channel:
            stub = GRPCInferenceServiceStub(channel)
            assert stub.ServerLive(ServerLiveRequest(), timeout=TIMEOUT_S).live
        with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError):
            GRPCInferenceServiceStub(channel).ServerLive(ServerLiveRequest(), timeout=5.0)
        with pytest.raises(httpx.HTTPError):
            httpx.get(server.base_url.replace("https", "http") + "/v2/health/live")


def test_client_certificates_are_needed_and_a_renewed_one_is_shown(tmp_path: Path) -> None:
    authority, foreign = Authority(tmp_path), Authority(tmp_path, "foreign")
    pair, own = authority.issue("server"), authority.issue("client")
    known = trusting(authority, own)
    strangers = [trusting(authority), trusting(authority, foreign.issue("stranger"))]
    options = {"tls_client_ca": authority.certificate, "grpc_port": 0, "head_timeout_s": 2.0}
    with serving_tls(known, **settings_of(pair), **options) as server:
        check_infers(server.client)
        for stranger in strangers:
            with pytest.raises(httpx.HTTPError):
                httpx.get(server.base_url + "/v2/health/live", verify=stranger)
        roots = authority.certificate.read_bytes()
        address = server.wait_for_event("gRPC started")["address"]
        files = own.key.read_bytes(), own.certificate.read_bytes()
        for given, served in ((files, True), ((None, None), False)):
            credentials = grpc.ssl_channel_credentials(roots, *given)
            with grpc.secure_channel(address, credentials) as channel:
                call = channel.unary_unary("/inference.GRPCInferenceService/ServerLive")
                code = call.future(b"", timeout=5.0).code()
                assert (code is grpc.StatusCode.OK) == served

        # handshakes that never come to their end stop nobody, and are ended
        silent = [connect(server) for _ in range(1_200)]
        check_infers(server.client)
        serial(server, known)
        for connection in silent:
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1 << 16) == b""
            connection.close()

        first = serial(server, known)
        ends_s = Scrape(server)("seqserve_tls_certificate_not_after_seconds")
        assert 0 < ends_s - time.time() < 86_400
        assert Scrape(server)("seqserve_tls_files_ok") == 1
        bad = authority.issue("bad")
        shutil.copy(bad.certificate, pair.certificate)  # with another's key
        server.wait_for_event("certificate is bad: the one before it stays")
        assert serial(server, known) == first
        assert Scrape(server)("seqserve_tls_files_ok") == 0
        shutil.copy(bad.key, pair.key)
        server.wait_for_event("certificate read again")
        wait_until(lambda: serial(server, known) != first)
        assert Scrape(server)("seqserve_tls_files_ok") == 1
        check_infers(server.client)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--tls-certificate", "server.pem"], "tls_key"),
        (["--tls-client-ca", "authority.pem"], "tls_certificate"),
        (["--tls-certificate", "server.pem", "--tls-key", "none"], "tls_key"),
        (["--tls-certificate", "server.pem", "--tls-key", "other.key"], "tls_key"),
        (["--tls-certificate", "locked.pem", "--tls-key", "locked.key"], "encrypted"),
        (["--tls-certificate", "server.key", "--tls-key", "server.key"], "tls_certificate"),
    ],
)
def test_files_that_do_not_fit_stop_the_start(tmp_path: Path, flags: list[str], says: str) -> None:
    authority = Authority(tmp_path)
    authority.issue("server")
    authority.issue("other")
    authority.issue("locked", b"secret")
    placed = [flag if flag.startswith("--") else str(tmp_path / flag) for flag in flags]
    ended = subprocess.run(
        [sys.executable, "-m", "service", "--port", "0", *placed],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
