"""Request bodies: read within the limit, their type checked, JSON decoded with the field named."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from service.errors import CallerGoneError, InvalidRequestError, PayloadTooLargeError

T = TypeVar("T")


def content_type(request: Request) -> str:
    """The media type without parameters, lower case; empty if there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The whole body.

    Raises:
        PayloadTooLargeError: It is larger than `max_bytes`, by its header or by what came.
        CallerGoneError: The client left while it sent.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes:
        raise PayloadTooLargeError(f"the body has {declared} bytes, the limit is {max_bytes}")
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > max_bytes:
                raise PayloadTooLargeError(f"the body exceeds the limit of {max_bytes} bytes")
            parts.append(part)
    except ClientDisconnect:
        raise CallerGoneError("the client left while it sent the body") from None
    return b"".join(parts)


def decode_json(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Decode and check a JSON body.

    Raises:
        InvalidRequestError: It is not JSON, or a field is missing or of another type (named).
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        field = path.rstrip("`").lstrip(".")
        raise InvalidRequestError(f"{field}: {message}" if field else message, field) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        culprit = _not_finite(body)
        if culprit is not None:
            message = f"{culprit} is NaN or infinite, which JSON has no number for"
            raise InvalidRequestError(message, culprit) from None
        raise InvalidRequestError(f"the body is not valid JSON: {error}") from None


def _not_finite(body: bytes) -> str | None:
    """The first value written as NaN or Infinity, where nothing else is wrong with the JSON.

    Such a literal is the commonest slip (Python's own encoder writes it), so it is worth a second
    reading of a body that is refused anyway.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    stack: list[tuple[str, Any]] = [("", document)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, float) and not math.isfinite(value):
            return path.lstrip(".")
        if isinstance(value, dict):
            stack.extend((f"{path}.{key}", value[key]) for key in reversed(value))
        elif isinstance(value, list):
            stack.extend((f"{path}[{i}]", value[i]) for i in range(len(value) - 1, -1, -1))
    return None


async def decoded(work: Callable[[], T], size_bytes: int, inline_bytes: int) -> T:
    """The result of decoding: at once if small, else in a thread, so that the loop never stalls."""
    return work() if size_bytes <= inline_bytes else await asyncio.to_thread(work)
