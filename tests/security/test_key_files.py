"""The file of keys: how it is made, read, and read again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from service.errors import ForbiddenError, ServiceError, UnauthenticatedError
from service.security import gate as gates
from service.security.gate import Credentials, Gate
from service.security.keys import Scope, hash_of, read_keys
from service.telemetry.parts.keys import KeyMetrics
from tests.security.keyring import Keyring
from tests.servers import BOUND_BY_PERMISSIONS, CHECKOUT, serving, wait_until

HASH = hash_of(b"token")
BAD = {
    "[[keys]]\nname = 'a'": "sha256",
    f"[[keys]]\nname = 'a b'\nsha256 = '{HASH}'\nscopes = ['infer']": "keys[0].name",
    f"[[keys]]\nname = 'a\\n'\nsha256 = '{HASH}'\nscopes = ['infer']": "keys[0].name",
    f"[[keys]]\nname = 'a'\nsha256 = '{HASH[1:]}'\nscopes = ['infer']": "sha256",
    f"[[keys]]\nname = 'a'\nsha256 = '{HASH.upper()}'\nscopes = ['infer']": "sha256",
    f"[[keys]]\nname = 'a'\nsha256 = '{HASH}'\nscopes = []": "no scopes",
    f"[[keys]]\nname = 'a'\nsha256 = '{HASH}'\nscopes = ['all']": "scopes",
    f"[[keys]]\nname = 'a'\nsha256 = '{HASH}'\nscopes = ['infer']\nburst = 2": "burst",
    f"[[keys]]\nname = 'a'\nsha256 = '{HASH}'\nscopes = ['infer']\nrequests_per_s = 0": "_per_s",
    f"[[keys]]\nname = 'a'\nsha256 = '{HASH}'\nscopes = ['infer']\ntoken = 'x'": "token",
    "keys = 1": "keys",
    "[[keys": "keys.toml",
    "\x00": "keys.toml",
}


class Clock:
    """Time that goes on by what it is told."""

    def __init__(self) -> None:
        self.now_s = time.monotonic()

    def monotonic(self) -> float:
        return self.now_s

    def look_again(self) -> None:
        self.now_s += 2 * gates.LOOK_S


def may(gate: Gate, keyring: Keyring, name: str, scope: Scope = Scope.INFER) -> bool:
    token = keyring.tokens[name].encode()
    try:
        gate.admit(Credentials(api_key=token), scope).release()
    except (UnauthenticatedError, ForbiddenError):
        return False
    return True


def make(*flags: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service.security", *map(str, flags)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", ["keys.toml", "keys.json"])
def test_the_command_shows_a_token_once_and_keeps_its_hash(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    first = make("web", "--file", path)
    limits = ("--requests-per-s", 2.5, "--burst", 9, "--max-concurrent", 3)
    second = make("ops", "--scopes", "infer", "admin", "--file", path, *limits)
    tokens = [made.stdout.strip() for made in (first, second)]
    assert [key.sha256 for key in read_keys(path)] == [hash_of(token.encode()) for token in tokens]
    web, ops = read_keys(path)
    assert (web.name, web.requests_per_s, set(web.scopes)) == ("web", None, {Scope.INFER})
    assert ops.scopes == {Scope.INFER, Scope.ADMIN}
    assert (ops.requests_per_s, ops.burst, ops.max_concurrent) == (2.5, 9, 3)
    assert not any(token in path.read_text() for token in tokens)
    assert len(set(tokens)) == 2
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    again = make("web", "--file", path)
    assert (again.returncode, again.stdout) == (2, "")
    assert "the same name twice: web" in again.stderr
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", BAD)
def test_a_bad_file_is_refused_with_the_reason_and_without_its_contents(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"keys\.toml") as refused:
        read_keys(path)
    assert BAD[text] in str(refused.value)
    assert HASH[1:] not in str(refused.value)


def test_a_bad_file_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text("[[keys")
    for path in (tmp_path / "keys.toml", tmp_path / "none.toml"):
        ended = subprocess.run(
            [sys.executable, "-m", "service", "--api-keys", str(path), "--port", "0"],
            cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert ended.returncode == 2
        assert "api_keys" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_a_file_that_changes_is_read_again_and_a_bad_one_opens_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, registry = Clock(), CollectorRegistry()
    monkeypatch.setattr(gates, "time", clock)
    keyring = Keyring(tmp_path / "keys.toml", {"old": {"scopes": ["infer"]}})
    gate = Gate(keyring.path, KeyMetrics(registry))
    first = keyring.path.read_bytes()

    def write(contents: bytes) -> None:
        keyring.path.write_bytes(contents)
        os.utime(keyring.path, ns=(0, time.monotonic_ns()))
        clock.look_again()

    def is_ok() -> bool:
        return registry.get_sample_value("seqserve_key_file_ok") == 1

    keyring.add("new", scopes=["infer", "admin"])
    assert not may(gate, keyring, "new"), "the file is looked at for every request"
    clock.look_again()
    assert may(gate, keyring, "new", Scope.ADMIN)
    both = keyring.path.read_bytes()
    for bad in (b"[[keys", b"\xff", b"x" * (1 << 21), b"keys = [{}]"):
        write(bad)
        assert may(gate, keyring, "old")
        assert may(gate, keyring, "new")
        assert not is_ok()
        with pytest.raises(ServiceError):
            gate.admit(Credentials(b"Bearer x"), Scope.INFER)
    keyring.path.unlink()
    clock.look_again()
    assert not may(gate, keyring, "old", Scope.ADMIN)
    assert may(gate, keyring, "old")
    write(first)
    assert may(gate, keyring, "old")
    assert is_ok()
    assert not may(gate, keyring, "new"), "a key that was taken out"
    write(both)
    assert may(gate, keyring, "new")
    write(b"")
    assert not may(gate, keyring, "old"), "an empty file has no keys"


def test_a_file_that_could_not_be_read_counts_once_it_can(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "keys.toml", {"old": {"scopes": ["infer"]}})
    with serving(api_keys=keyring.path, prefix=BOUND_BY_PERMISSIONS) as server:

        def status(name: str) -> int:
            headers = {"X-API-Key": keyring.tokens[name]}
            return server.client.get("/v1/models", headers=headers).status_code

        assert status("old") == 200
        keyring.add("new", scopes=["infer"])
        keyring.path.chmod(0)
        wait_until(lambda: status("old") == 200 and "key file is bad" in server.log)
        assert status("new") == 401
        keyring.path.chmod(0o600)  # which changes neither its time nor its size
        wait_until(lambda: status("new") == 200)
        assert server.log.count("key file is bad") == 1
        assert "permission denied to this process" in server.log
