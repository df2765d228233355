"""Whose request it was is in the log, and who changed what, from where, over which protocol."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import grpc
from tritonclient.grpc.service_pb2 import RepositoryModelUnloadRequest

from service.telemetry.audit import LOGGER
from service.telemetry.log_writer import BURST, MAX_HELD_BYTES, LogWriter
from tests.fakes import TIMEOUT_S
from tests.grpc.asking import SERVICE, GrpcServer, serving_grpc
from tests.http.payloads import frames, infer_body, infer_path
from tests.security.keyring import Keyring
from tests.servers import wait_until

LOAD, LOGGING = "/v2/repository/models/%s/load", "/v2/logging"


def entries(server: GrpcServer, event: str) -> list[dict[str, Any]]:
    lines = [line for line in server.process.log.splitlines() if line.startswith("{")]
    return [it for it in map(json.loads, lines) if it["event"] == event]


def call(server: GrpcServer, method: str, body: bytes, keyring: Keyring, name: str) -> Any:
    metadata = [("authorization", f"Bearer {keyring.tokens[name]}"), ("x-request-id", "over-grpc")]
    made = server.channel.unary_unary(f"/{SERVICE}/{method}")
    return made.future(body, timeout=TIMEOUT_S, metadata=metadata).code()


def test_who_asked_and_who_changed_what_is_logged(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "keys.toml")
    with serving_grpc(api_keys=keyring.path, access_log=True) as server:
        client = server.process.client

        def post(path: str, name: str, body: object, request_id: str = "") -> int:
            headers = keyring.of(name) if name else {}
            headers |= {"X-Request-ID": request_id, "X-Forwarded-For": "203.0.113.9"}
            return client.post(path, json=body, headers=headers).status_code

        # the lane, FastAPI, and gRPC
        assert post(infer_path(), "asker", infer_body(frames(3))) == 200
        assert client.get("/v2", headers=keyring.of("other")).status_code == 200
        assert post(infer_path(), "", {}) == 401
        # changes, of which the second hides lines as these
        assert post(LOAD % "digits-lstm", "keeper", {}, "loads") == 200
        assert post(LOGGING, "keeper", {"log_info": False}, "hides") == 200
        assert post(LOAD % "digits-lstm", "keeper", {}, "loads-unseen") == 200
        upload = {"parameters": {"config": "{}", "file:1/model.onnx": "AAAA"}}
        assert post(LOAD % "brought", "keeper", upload, "uploads") >= 400
        assert post(LOAD % "digits-lstm", "asker", {}, "has-no-scope") == 403
        assert post(LOAD % "digits-lstm", "", {}, "has-no-key") == 401
        assert post(LOGGING, "keeper", {"log_info": True}, "shows") == 200
        body = RepositoryModelUnloadRequest(model_name="digits-gru").SerializeToString()
        denied = call(server, "RepositoryModelUnload", body, keyring, "asker")
        assert denied is grpc.StatusCode.PERMISSION_DENIED
        assert call(server, "RepositoryModelUnload", body, keyring, "keeper") is grpc.StatusCode.OK
        wait_until(lambda: len(entries(server, "change made")) == 5)

        made, refused, lost = (
            entries(server, f"change {it}") for it in ("made", "refused", "denied")
        )
        told = [(it["change"], it.get("model"), it["key"], it["request_id"]) for it in made]
        assert told == [
            ("load", "digits-lstm", "keeper", "loads"),
            ("log settings", None, "keeper", "hides"),
            ("load", "digits-lstm", "keeper", "loads-unseen"),
            ("log settings", None, "keeper", "shows"),
            ("unload", "digits-gru", "keeper", "over-grpc"),
        ]
        assert [it["protocol"] for it in made] == ["HTTP"] * 4 + ["gRPC"]
        assert all(it["client"].startswith("127.0.0.1:") for it in [*made, *refused, *lost])
        assert made[1]["log_info"] is False
        (brought,) = refused
        assert (brought["change"], brought["model"], brought["files"]) == ("upload", "brought", 1)
        names = [(it["request_id"], it["key"]) for it in lost]
        assert names == [("has-no-scope", "asker"), ("has-no-key", ""), ("over-grpc", "asker")]
        keys = {(it["path"], it["key"]) for it in entries(server, "request")}
        assert {(infer_path(), "asker"), ("/v2", "other"), (infer_path(), "")} <= keys
        method = f"/{SERVICE}/RepositoryModelUnload"
        assert {(method, "asker"), (method, "keeper")} <= keys


def test_neither_a_flood_of_denied_attempts_nor_a_full_log_hides_a_change() -> None:
    reading, writing = os.pipe()
    writer = LogWriter(writing)

    def emit(level: int, event: str, name: str = LOGGER) -> None:
        record = logging.LogRecord(name, level, "", 0, {"event": event}, None, None)
        writer.emit(record)

    for _ in range(BURST + 50):
        emit(logging.WARNING, "change denied")
    assert writer.dropped == {"full": 0, "often": 50}
    for _ in range(2):  # a pipe's room, and then all that is held
        emit(logging.INFO, "x" * (MAX_HELD_BYTES - 65_536), "service.api")
    assert writer.dropped["full"] == 1
    for _ in range(100):
        emit(logging.INFO, "y" * 200)
    for _ in range(500):
        emit(logging.INFO, "x" * 1_000, "service.api")
    full = writer.dropped["full"]
    emit(logging.INFO, "the change")
    assert writer.dropped["full"] == full > 1
    found = b""
    while b"the change" not in found:
        found += os.read(reading, 1 << 16)
    writer.flush()
    os.close(reading)
