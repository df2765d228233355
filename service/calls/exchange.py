"""A request's head and its answer, free of how they travel.

The two transports are `routes.py`, through FastAPI on any ASGI server, and `service/lane/`,
uvicorn's own connection without ASGI between.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from service.codec.compression import WORTH_BYTES, accepted_coding, compress
from service.errors import OverloadedError, ServiceError, UnauthenticatedError

REQUEST_ID = "X-Request-ID"
TRACE_PARENT, TRACE_RESPONSE = "traceparent", "traceresponse"
"""W3C Trace Context's: what a request is a part of, and by which span it was served."""
ACCEPTED_ID = re.compile(rb"[\x21-\x7e]{1,128}")

READ_HEADERS = frozenset(
    {
        b"accept-encoding",
        b"content-encoding",
        b"content-type",
        b"inference-header-content-length",
    }
)
"""All that a hot route may read of its headers: requests that differ in others are taken as alike.

Who comes to read another one adds it here; but one whose value is new in every request must be
captured as the request's id is, or nothing would be known again; and one that says who asks, as an
API key, must be, or one caller's would count for another.
"""

Headers = Sequence[tuple[bytes, bytes]]  # names in lower case

JSON_HEADERS: Headers = ((b"content-type", b"application/json"),)
CHALLENGE = (b"www-authenticate", b'Bearer realm="seqserve"')
BINARY_TYPE = (b"content-type", b"application/octet-stream")


class Answer(NamedTuple):
    """What is sent back; its length and the request's id are added by the transport."""

    body: bytes
    status: int = 200
    headers: Headers = JSON_HEADERS

    @property
    def is_worth_compressing(self) -> bool:
        """Whether it is long enough to gain by it."""
        return len(self.body) >= WORTH_BYTES

    def compressed(self, coding: str) -> Answer:
        """The same in a coding; as it is, if it would not get smaller."""
        body = compress(self.body, coding)
        if len(body) >= len(self.body):
            return self
        headers = (b"content-encoding", coding.encode()), (b"vary", b"accept-encoding")
        return self._replace(body=body, headers=(*headers, *self.headers))


class Head:
    """What a request says before its body; never changed, so that one may serve many requests.

    Args:
        path: Decoded, as in the log.
        name: Of the model, from the path.
        version: Of the model, from the path, if it says one.
        query: After the `?`, still encoded.
        fields: The headers; of a repeated one, the first. Names in lower case.
    """

    def __init__(
        self, path: str, name: str, version: str | None, query: bytes, fields: dict[bytes, bytes]
    ) -> None:
        self.path = path
        self.name = name
        self.version = version
        self.query = query
        self._fields = fields
        self.content_type = self.header(b"content-type").partition(";")[0].strip().lower()
        """The media type without parameters, lower case; empty if there is none."""
        self.json_length = self.header(b"inference-header-content-length")
        """How much of the body is JSON, as the caller wrote it; empty: all."""
        self.content_encoding = self.header(b"content-encoding")
        """How the body is compressed, as the caller wrote it; empty: not at all."""
        self.accepted_coding = accepted_coding(self.header(b"accept-encoding"))
        """How the answer may be compressed; None: better not."""

    def header(self, name: bytes) -> str:
        """One of READ_HEADERS; empty if it is not there."""
        assert name in READ_HEADERS, f"heads are taken as alike whose {name!r} differs"
        return self._fields.get(name, b"").decode("latin-1")


def request_id_of(given: bytes) -> str:
    """The caller's id where it can do no harm in a log, else a new one."""
    # no secret; `random` seeds anew in a forked child
    if ACCEPTED_ID.fullmatch(given):
        return given.decode("ascii")
    return f"{random.getrandbits(128):032x}"


def refusal(error: ServiceError) -> Answer:
    """A failed request's answer: Open Inference's `error`, and what a program can read."""
    # under overload it is the same over and over; other messages may quote a caller at length
    make = _kept_refusal if isinstance(error, OverloadedError) else _refusal
    return make(error.status_code, error.code, error.message, error.field, error.retry_after_s or 0)


def _refusal(status: int, code: str, message: str, field: str, retry_after_s: int) -> Answer:
    body = {"error": message, "code": code}
    if field:
        body["field"] = field
    headers = [(b"retry-after", b"%d" % retry_after_s)] if retry_after_s else []
    if status == UnauthenticatedError.status_code:
        headers.append(CHALLENGE)
    return Answer(msgspec.json.encode(body), status, (*headers, *JSON_HEADERS))


_kept_refusal = lru_cache(64)(_refusal)
