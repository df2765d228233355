"""JSON bodies decoded, with the field named where one is wrong."""

from __future__ import annotations

import json
import math
import re
from itertools import islice
from typing import Any, TypeVar

import msgspec
import numpy as np

from service.errors import InvalidRequestError, PayloadTooLargeError
from service.schedulers.job import NORMAL_PRIORITY, PATIENCE

T = TypeVar("T")

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
GOT_NULL = "got `null`"
MAX_OBJECTS = 1 << 20
"""Arrays, objects and strings of a body: each becomes an object of Python's, of 60 bytes and more.

As many as `max_queue_cells` has steps by default; numbers are not counted.
"""
OBJECT = re.compile(rb'[\[{]|"[^"]*"')
AT_ONCE = 1 << 18  # bytes, which stay in a core's cache
UNKNOWN_OR_MISSING = re.compile(r"(?:unknown|required) field `(.*)`", re.DOTALL)


def decode_json(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Decode and check a JSON body.

    A byte order mark before it is passed over; a member that is null, and may be left out, is.

    Raises:
        InvalidRequestError: It is not JSON, or a field is missing or of another type (named).
        PayloadTooLargeError: It would become too many objects.
    """
    check_objects(body)
    body = body.removeprefix(BYTE_ORDER_MARK)
    try:
        try:
            return decoder.decode(body)
        except msgspec.ValidationError as error:
            if GOT_NULL not in str(error):
                raise
            plain = without_nulls(msgspec.json.decode(body))
            return msgspec.convert(plain, decoder.type, str_keys=True)
    except msgspec.ValidationError as error:
        raise wrong_field(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        culprit = _not_finite(body)
        if culprit is not None:
            message = f"{culprit or 'the body'} is NaN or infinite, which JSON has no number for"
            raise InvalidRequestError(message, culprit) from None
        raise InvalidRequestError(f"the body is not valid JSON: {error}") from None


def check_objects(body: bytes) -> None:
    """Refuse JSON that would become more than `MAX_OBJECTS`, before any is made.

    Raises:
        PayloadTooLargeError: It would.
    """
    if has_too_many_objects(body):
        raise PayloadTooLargeError(
            f"the body has more than {MAX_OBJECTS} arrays, objects and strings; "
            "send fewer, or long tensors in binary"
        )


def has_too_many_objects(body: bytes) -> bool:
    """Whether JSON has more arrays, objects and strings than `MAX_OBJECTS`."""
    if len(body) <= MAX_OBJECTS or _most_objects(body) <= MAX_OBJECTS:
        return False
    if b"\\" in body:  # then a quote may be a part of a string
        body = body.replace(rb"\\", b"").replace(rb"\"", b"")
    found = OBJECT.finditer(body)  # exactly: what stands in strings does not count
    return next(islice(found, MAX_OBJECTS, None), None) is not None


def _most_objects(body: bytes) -> int:
    """At least as many as there are, found quickly: strings are not told from what is in them."""
    octets = np.frombuffer(body, np.uint8)
    count = 0
    for start in range(0, len(octets), AT_ONCE):
        part = octets[start : start + AT_ONCE]
        count += sum(int(np.count_nonzero(part == sign)) for sign in b'[{"')
    return count


def begins_json(body: bytes) -> bool:
    """Whether it looks like a JSON object, where nothing says what it is."""
    return body[:64].removeprefix(BYTE_ORDER_MARK).lstrip().startswith(b"{")


def without_nulls(value: Any) -> Any:
    """The same JSON without the members of its objects that are null: clients write them for none.

    Elements of arrays stay: there, null is a value that is not known.
    """
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list) and any(isinstance(inner, dict | list) for inner in value):
        return [without_nulls(inner) for inner in value]
    return value


def wrong_field(error: msgspec.ValidationError, within: str = "") -> InvalidRequestError:
    """What msgspec found wrong, with the field that it means: unknown and missing ones too.

    Args:
        error: Of a document that lies at `within` in the request.
        within: Such as `inputs[0].data`; empty for the whole body.
    """
    message, _, path = str(error).partition(" - at `$")
    field = within + path.removesuffix("`")
    if named := UNKNOWN_OR_MISSING.search(message):
        field += f".{named[1]}"
    field = field.lstrip(".")
    return InvalidRequestError(f"{field}: {message}" if field else message, field)


def _not_finite(body: bytes) -> str | None:
    """The first value written as NaN or Infinity, where nothing else is wrong with the JSON.

    Such a literal is the commonest slip (Python's own encoder writes it), so it is worth a second
    reading of a body that is refused anyway.
    """
    try:
        path = _path_to_not_finite(json.loads(body))
    except (ValueError, RecursionError):
        return None
    # json takes halves of surrogate pairs in keys, which no answer could be encoded with
    return path and path.lstrip(".").encode(errors="backslashreplace").decode()


def _path_to_not_finite(value: object) -> str | None:
    if isinstance(value, float):
        return None if math.isfinite(value) else ""
    if isinstance(value, dict):
        for key, inner in value.items():
            if (path := _path_to_not_finite(inner)) is not None:
                return f".{key}{path}"
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            if (path := _path_to_not_finite(inner)) is not None:
                return f"[{index}]{path}"
    return None


def priority_of(wanted: object, field: str) -> int:
    """The engine's priority, 1 (first) to 3, of a request's: 0 is normal, 2; above 3 is 3.

    Raises:
        InvalidRequestError: It is no unsigned integer.
    """
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 0:
        raise InvalidRequestError(f"{field} must be an unsigned integer; 1 comes first", field)
    return min(wanted, max(PATIENCE)) or NORMAL_PRIORITY
