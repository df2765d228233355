"""How gRPC tells of every ServiceError: its status by the error's HTTP status, in one table."""

from __future__ import annotations

from grpc import StatusCode

from service.errors import ServiceError

STATUSES = {
    400: StatusCode.INVALID_ARGUMENT,
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.NOT_FOUND,
    408: StatusCode.DEADLINE_EXCEEDED,
    409: StatusCode.FAILED_PRECONDITION,
    413: StatusCode.RESOURCE_EXHAUSTED,  # as gRPC itself says of a message that is too large
    415: StatusCode.INVALID_ARGUMENT,
    421: StatusCode.PERMISSION_DENIED,
    422: StatusCode.INVALID_ARGUMENT,
    429: StatusCode.RESOURCE_EXHAUSTED,
    431: StatusCode.RESOURCE_EXHAUSTED,
    499: StatusCode.CANCELLED,
    500: StatusCode.INTERNAL,
    501: StatusCode.UNIMPLEMENTED,
    503: StatusCode.UNAVAILABLE,
    504: StatusCode.DEADLINE_EXCEEDED,
    507: StatusCode.RESOURCE_EXHAUSTED,
}

MAX_TEXT = 512
"""Characters of a message: it travels in a header, of which clients take no more than 8 kB."""

Metadata = tuple[tuple[str, str], ...]


def status_of(error: ServiceError) -> StatusCode:
    """The status that an RPC with this error ends with."""
    return STATUSES[error.status_code]


def details_of(error: ServiceError) -> str:
    """Its message, as much as a header holds."""
    return shortened(error.message)


def metadata_of(error: ServiceError) -> Metadata:
    """What else a program can read of it, as trailing metadata."""
    metadata = [("error-code", error.code)]
    if error.field:
        printable = error.field.encode("unicode_escape").decode("ascii")
        metadata.append(("error-field", shortened(printable)))
    if error.retry_after_s is not None:
        metadata.append(("retry-after", str(error.retry_after_s)))
    return tuple(metadata)


def shortened(text: str) -> str:
    """The text, cut where it is long, as one that quotes a caller may be."""
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"
