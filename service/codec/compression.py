"""Bodies that travel compressed: what comes is bounded, what goes is worth it."""

from __future__ import annotations

import io
import zlib

from service.errors import (
    InvalidRequestError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)

CODINGS = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
"""zlib's window and container by content coding."""

ALIASES = {"x-gzip": "gzip"}

PIECE_BYTES = 64 << 10
MAX_MEMBERS = 4_096
"""Of gzip, one after the other: `bgzip` begins one every 64 kB. Each costs, if it is empty too."""

LEVEL = 1
"""The quickest; numbers hardly get smaller by the others."""

WORTH_BYTES = 16 << 10
"""Smaller answers go as they are: they fit in a few packets, and compressing takes longer."""

FIELD = "Content-Encoding"


def coding_of(content_encoding: str) -> str | None:
    """The coding of a body; None if it came as it is.

    Raises:
        UnsupportedMediaTypeError: It is none of `CODINGS`, or more than one.
    """
    named = (name.strip() for name in content_encoding.lower().split(","))
    codings = [ALIASES.get(name, name) for name in named if name not in ("", "identity")]
    if not codings:
        return None
    if len(codings) > 1 or codings[0] not in CODINGS:
        raise UnsupportedMediaTypeError(
            f"content encoding {', '.join(codings)} is not read; send "
            f"{' or '.join(CODINGS)}, or none",
            FIELD,
        )
    return codings[0]


def decompress(body: bytes, coding: str, max_bytes: int) -> bytes:
    """A body as it was before; never more of it in memory than is allowed.

    Args:
        body: One stream; of gzip, one member or several, which are one text together.
        coding: One of `CODINGS`; deflate with zlib's header or, as some clients send it, without.
        max_bytes: Of the result.

    Raises:
        PayloadTooLargeError: It is longer than `max_bytes`.
        InvalidRequestError: It is not of this coding, or ends before its end.
    """
    wbits = -zlib.MAX_WBITS if coding == "deflate" and _is_bare(body) else CODINGS[coding]
    max_members = MAX_MEMBERS if coding == "gzip" else 1
    stream, num_members = zlib.decompressobj(wbits), 1
    plain = io.BytesIO()
    for start in range(0, len(body), PIECE_BYTES):  # what follows a member is copied
        piece = body[start : start + PIECE_BYTES]
        while piece:
            if stream.eof:
                if num_members == max_members:
                    raise InvalidRequestError(
                        f"the body is no {coding}: more follows its end", FIELD
                    )
                stream, num_members = zlib.decompressobj(wbits), num_members + 1
            try:
                plain.write(stream.decompress(piece, max_bytes + 1 - plain.tell()))
            except zlib.error as error:
                raise InvalidRequestError(f"the body is no {coding}: {error}", FIELD) from None
            if plain.tell() > max_bytes:
                raise PayloadTooLargeError(
                    f"the body exceeds the limit of {max_bytes} bytes, decompressed"
                )
            piece = stream.unused_data
    if not stream.eof:
        raise InvalidRequestError(f"the body is no {coding}: it ends before its end", FIELD)
    return plain.getvalue()


def _is_bare(body: bytes) -> bool:
    """Whether it does not begin with zlib's header, as no raw deflate does."""
    return len(body) >= 2 and (body[0] & 15 != 8 or int.from_bytes(body[:2]) % 31 != 0)


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
