"""Digests of what a model learns from and is scored on: of contents, not of names and sizes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import numpy as np


def digest_of(part: Any) -> str:
    """The sha256 of a part of a data set: the same for equal contents, in any process.

    Args:
        part: Arrays, texts, numbers, bytes, and lists, tuples, dicts and dataclasses of them.
    Raises:
        TypeError: It holds something else.
    """
    digest = hashlib.sha256()
    _add(digest, part)
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    """Each kind with its size before it, so that no two contents are the same bytes."""
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, bytes):
        digest.update(f"bytes {len(value)} ".encode())
        digest.update(value)
    elif dataclasses.is_dataclass(value):
        _add(digest, {each.name: getattr(value, each.name) for each in dataclasses.fields(value)})
    else:
        try:
            digest.update(json.dumps(value).encode() + b"\n")  # much faster than one by one
        except TypeError:
            _add_items(digest, value)


def _add_items(digest: Any, value: Any) -> None:
    if isinstance(value, dict):
        value = list(value.items())
    if not isinstance(value, list | tuple):
        raise TypeError(f"{type(value).__name__} has no digest")
    digest.update(f"items {len(value)} ".encode())
    for item in value:
        _add(digest, item)
