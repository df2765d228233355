"""Bodies that travel compressed: what comes is bounded, what goes is worth it."""

from __future__ import annotations

import zlib

from service.errors import (
    InvalidRequestError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)

CODINGS = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
"""zlib's window and container by content coding."""

LEVEL = 1
"""The quickest; numbers hardly get smaller by the others."""

WORTH_BYTES = 16 << 10
"""Smaller answers go as they are: they fit in a few packets, and compressing takes longer."""

FIELD = "Content-Encoding"


def coding_of(content_encoding: str) -> str | None:
    """The coding of a body; None if it came as it is.

    Raises:
        UnsupportedMediaTypeError: It is none of `CODINGS`.
    """
    coding = content_encoding.strip().lower()
    if coding in ("", "identity"):
        return None
    if coding not in CODINGS:
        raise UnsupportedMediaTypeError(
            f"content encoding {coding} is not read; send {' or '.join(CODINGS)}, or none", FIELD
        )
    return coding


def decompress(body: bytes, coding: str, max_bytes: int) -> bytes:
    """A body as it was before; never more of it in memory than is allowed.

    Raises:
        PayloadTooLargeError: It is longer than `max_bytes`.
        InvalidRequestError: It is not of this coding, or ends before its end.
    """
    stream = zlib.decompressobj(CODINGS[coding])
    try:
        plain = stream.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise InvalidRequestError(f"the body is no {coding}: {error}", FIELD) from None
    if len(plain) > max_bytes:
        raise PayloadTooLargeError(f"the body exceeds the limit of {max_bytes} bytes, decompressed")
    if not stream.eof or stream.unused_data:
        what = "more follows its" if stream.eof else "it ends before its"
        raise InvalidRequestError(f"the body is no {coding}: {what} end", FIELD)
    return plain


def compress(body: bytes, coding: str) -> bytes:
    """A body in one of `CODINGS`."""
    stream = zlib.compressobj(LEVEL, wbits=CODINGS[coding])
    return stream.compress(body) + stream.flush()


def accepted_coding(accept_encoding: str) -> str | None:
    """The coding that a client likes best; None if it would rather have the body as it is.

    Args:
        accept_encoding: The header, such as `gzip;q=0.5, deflate`; empty if there is none.
    """
    likes = dict(_like(part) for part in accept_encoding.lower().split(",") if part.strip())
    anything = likes.get("*", 0.0)
    best = max(CODINGS, key=lambda coding: likes.get(coding, anything))
    liked = likes.get(best, anything)
    return best if liked > 0 and liked >= likes.get("identity", 0.0) else None


def _like(part: str) -> tuple[str, float]:
    """A coding and how well it is liked; what can't be read is not liked."""
    coding, *parameters = (piece.strip() for piece in part.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return coding, float(value)
            except ValueError:
                return coding, 0.0
    return coding, 1.0
