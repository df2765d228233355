"""The file of API keys: names, hashes of tokens, what each may do and how often.

A token is 32 random bytes, so its plain SHA-256 can neither be guessed nor looked up, and needs no
slow hash.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec

from service.reading import read_regular

MAX_FILE_BYTES = 1 << 20
MAX_KEYS = 1_024
"""Each is a label of the metrics."""
TOKEN_BYTES = 32
TOKEN_PREFIX = "sq_"  # so that scanners of leaked secrets can tell one


class Scope(StrEnum):
    """What a key may do."""

    INFER = "infer"
    ADMIN = "admin"
    METRICS = "metrics"


Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")]
Hash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One key.

    Args:
        name: In the log and the metrics.
        sha256: Of its token, in lower-case hexadecimal.
        scopes: What it may do.
        requests_per_s: On average; None: any.
        burst: Requests at once of one who was quiet; default: those of one second, at least 1.
        max_concurrent: Requests at a time; None: any.
    """

    name: Name
    sha256: Hash
    scopes: frozenset[Scope]
    requests_per_s: Annotated[float, msgspec.Meta(ge=0.001, le=1e6)] | None = None
    burst: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    max_concurrent: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    keys: list[Key] = []


def new_token() -> str:
    """A token that nobody has."""
    return TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def hash_of(token: bytes) -> str:
    """A token as the file has it."""
    return hashlib.sha256(token).hexdigest()


def read_keys(path: Path) -> list[Key]:
    """The keys of a file, TOML or by its name JSON.

    Raises:
        OSError: It can't be read.
        ValueError: It is not as it should be; never quotes what is in it.
    """
    contents = read_regular(path, MAX_FILE_BYTES + 1)
    if len(contents) > MAX_FILE_BYTES:
        raise ValueError(f"{path} is larger than {MAX_FILE_BYTES} bytes")
    return parse_keys(contents, path)


def parse_keys(contents: bytes, path: Path) -> list[Key]:
    """The keys that such a file has; see `read_keys`."""
    try:
        if path.suffix == ".json":
            found = msgspec.json.decode(contents, type=KeyFile)
        else:
            found = msgspec.convert(tomllib.loads(contents.decode()), KeyFile)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from None
    _check(found.keys, path)
    return found.keys


def _check(keys: list[Key], path: Path) -> None:
    if len(keys) > MAX_KEYS:
        raise ValueError(f"{path} has {len(keys)} keys, {MAX_KEYS} are the most")
    for field in ("name", "sha256"):
        given = [getattr(key, field) for key in keys]
        if twice := {name for name in given if given.count(name) > 1}:
            names = sorted({key.name for key in keys if getattr(key, field) in twice})
            raise ValueError(f"{path}: the same {field} twice: {', '.join(names)}")
    for key in keys:
        if not key.scopes:
            raise ValueError(f"{path}: key {key.name} has no scopes")
        if key.burst is not None and key.requests_per_s is None:
            raise ValueError(f"{path}: key {key.name} has a burst but no requests_per_s")


def add_key(path: Path, key: Key) -> None:
    """Put a key into a file, which is made if there is none; a reader sees the old or the new one.

    Raises:
        OSError: It can't be written.
        ValueError: The file is not as it should be, or has a key of this name.
    """
    before = read_regular(path) if path.exists() else b""
    if path.suffix == ".json":
        keys = [*(parse_keys(before, path) if before else []), key]
        after = msgspec.json.format(msgspec.json.encode({"keys": keys})) + b"\n"
    else:
        gap = b"\n" if before else b""
        after = before + gap + _toml(key).encode()
    parse_keys(after, path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(after)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _toml(key: Key) -> str:
    fields = {"name": key.name, "sha256": key.sha256, "scopes": sorted(key.scopes)}
    limits = {
        name: value
        for name in ("requests_per_s", "burst", "max_concurrent")
        if (value := getattr(key, name)) is not None
    }
    # what is in them is written alike in TOML and in JSON
    lines = [
        f"{name} = {msgspec.json.encode(it).decode()}" for name, it in (fields | limits).items()
    ]
    return "\n".join(["[[keys]]", *lines, ""])
