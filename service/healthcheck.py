"""`python -m service.healthcheck`: whether the server that this environment describes is ready.

For a container's health check. It reads the variables that the server reads (flags it can't see),
and imports next to nothing, for it is run every few seconds.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import sys
from collections.abc import Mapping

TIMEOUT_S = 2.0
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
"""Where a server is asked that listens on all addresses."""


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket.

    Args:
        path: Of the socket.
        context: Of TLS, if it is spoken.
    """

    def __init__(self, path: str, context: ssl.SSLContext | None) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path, self._context = path, context

    def connect(self) -> None:
        """Open the connection."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(self._path)
        if self._context is not None:
            self.sock = self._context.wrap_socket(self.sock)


def connection_of(environment: Mapping[str, str]) -> http.client.HTTPConnection:
    """To the server.

    Args:
        environment: Its variables, SEQSERVE_HOST and so on.
    """

    def setting(name: str, default: str = "") -> str:
        return environment.get(f"SEQSERVE_{name}", default)

    host = setting("HOST", "127.0.0.1")
    host, port = ANY_ADDRESS.get(host, host), int(setting("PORT", "8000"))
    context = _context() if setting("TLS_CERTIFICATE") else None
    if path := setting("UDS"):
        return UnixConnection(path, context)
    if context is not None:
        return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
    return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)


def _context() -> ssl.SSLContext:
    """Of this machine's own server, whose certificate is for another name."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def main() -> int:
    """0 if it is ready."""
    connection = connection_of(os.environ)
    try:
        connection.request("GET", "/v2/health/ready")
        return int(connection.getresponse().status != 200)
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"not ready: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
