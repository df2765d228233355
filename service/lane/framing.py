"""What two readers of HTTP could take for different requests, where the parser lets it pass.

A proxy before this server may read a head in another way: then one caller's bytes are another's
request. What RFC 9112 leaves no doubt of goes on; all else is refused and ends the connection.
"""

from __future__ import annotations

import re

from service.errors import InvalidRequestError, UnsupportedError

VERSIONS = {"1.0", "1.1"}
ADDRESS = re.compile(rb"(?:\[[\w.:%~-]+\]|[\w.%~-]*)(?::\d*)?")
"""Host and port; of the characters that a name may have by RFC 3986, those that names have."""
ABSOLUTE = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)

Fields = list[tuple[bytes, bytes]]  # names in lower case


def check_framing(version: str, method: str, target: bytes, fields: Fields) -> None:
    """Hold a head against what all readers of HTTP agree on.

    Raises:
        InvalidRequestError: They could differ, or it is no HTTP/1.
        UnsupportedError: Its body is in a coding that is not read here.
    """
    if version not in VERSIONS:
        raise InvalidRequestError(f"HTTP/{version} is not spoken here: HTTP/1.1 is")
    hosts = [value.strip() for name, value in fields if name == b"host"]
    if len(hosts) > 1 or (not hosts and version != "1.0"):
        raise InvalidRequestError(f"a request has one Host header, this one {len(hosts)}", "Host")
    if hosts and not ADDRESS.fullmatch(hosts[0]):
        raise InvalidRequestError("the Host header is not HOST or HOST:PORT", "Host")
    _check_target(method, target, hosts)
    codings = [value.strip().lower() for name, value in fields if name == b"transfer-encoding"]
    if codings and version == "1.0":
        raise InvalidRequestError("HTTP/1.0 knows no Transfer-Encoding", "Transfer-Encoding")
    if codings not in ([], [b"chunked"]):
        said = b", ".join(codings).decode("latin-1")
        raise UnsupportedError(f"Transfer-Encoding may be chunked, not {said}", "Transfer-Encoding")


def _check_target(method: str, target: bytes, hosts: list[bytes]) -> None:
    if target.startswith(b"/") or (target == b"*" and method == "OPTIONS"):
        return
    address = ABSOLUTE.match(target)
    if address is None:
        raise InvalidRequestError("a request's target is a path, or a URL of this server")
    if [address[1].lower()] != [host.lower() for host in hosts]:
        raise InvalidRequestError("the URL is of another server than the Host header", "Host")
