"""No token is in the log, the metrics or an answer, whatever is done with it."""

from __future__ import annotations

import json
from pathlib import Path

import grpc

from tests.fakes import TIMEOUT_S
from tests.grpc.asking import SERVICE, serving_grpc
from tests.http.payloads import frames, infer_body, infer_path, predict_body, predict_path
from tests.http.raw import Answers, connect, request
from tests.security.keyring import Keyring
from tests.servers import Server

GUESS = "sq_guess-that-nobody-has-0123456789"


def test_tokens_are_nowhere(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "keys.toml")
    secrets = [*keyring.tokens.values(), GUESS]
    kinds = [
        (infer_path(), json.dumps(infer_body(frames(3))).encode()),
        (infer_path(), b"not JSON"),
        (predict_path(), json.dumps(predict_body(frames(3))).encode()),
        ("/v1/models/no-such/predict", b"{}"),
        ("/v2/repository/models/no-such/load", b"{}"),
        ("/v2/logging", b'{"log_verbose_level": 1}'),
        ("/v1/models/digits-lstm/generate", b"{}"),
    ]
    with serving_grpc(api_keys=keyring.path, log_level="debug", access_log=True) as server:
        said = []
        for token in [*secrets, "é" + GUESS]:
            for path, body in [*kinds, *kinds]:
                for header in ("Authorization: Bearer", "authorization: bearer", "X-API-Key:"):
                    name, _, scheme = header.partition(":")
                    typed = ("Content-Type", "application/json")
                    given = (name, f"{scheme} {token}".strip())
                    said.append(ask(server.process, request(path, body, [typed, given])))
            for key in ("authorization", "x-api-key"):
                call = server.channel.unary_unary(f"/{SERVICE}/ModelInfer")
                metadata = [(key, f"Bearer {token}" if key == "authorization" else token)]
                if token.isascii():
                    ended = call.future(b"\xff", timeout=TIMEOUT_S, metadata=metadata)
                    said.append(str(ended.code()) + str(ended.details()))
        with grpc.insecure_channel(server.address) as channel:
            channel.unary_unary(f"/{SERVICE}/No").future(b"", timeout=TIMEOUT_S).code()
        # what is wrong with a head is said of it, too
        long = f"Bearer {keyring.tokens['asker']}" + "x" * 40_000
        said.append(ask(server.process, request("/v2", b"", [("Authorization", long)])))
        said.append(ask(server.process, b"GET / HTTP/1.1\r\nX-API-Key\x00: " + GUESS.encode()))
        scraper = keyring.of("scraper")
        said.append(server.process.client.get("/metrics", headers=scraper).text)
        keyring.path.write_text(keyring.path.read_text() + "\n[[keys")
        while "key file is bad" not in server.process.log:
            ask(server.process, request("/v2", b"", [("X-API-Key", GUESS)]))
    log = server.process.log
    assert '"event": "request"' in log, "there is an access log"
    assert '"level": "debug"' in log
    assert any("sequence" in each or "outputs" in each for each in said)
    for secret in secrets:
        for text in (log, *said):
            assert secret not in text
            assert secret[3:20] not in text, "not even a part of it"


def ask(server: Server, whole: bytes) -> str:
    reader = Answers()
    with connect(server) as connection:
        connection.sendall(whole)
        while not reader.answers:
            data = connection.recv(1 << 16)
            if not data:
                break
            reader.feed(data)
    return "".join(f"{answer.headers}{answer.body!r}" for answer in reader.answers)
