"""The port for gRPC, kept free for the processes that are to listen on it."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from types import TracebackType

from service.port import is_dual


class ReservedPort:
    """A port that this server's processes may all listen on, and no other server.

    gRPC's own check finds no other server that shares its ports, as every one does by default.

    Args:
        host: Name or address.
        number: 0 takes a free one; None: there is to be none.

    Raises:
        OSError: The port is taken, or the address is none of this machine.
    """

    def __init__(self, host: str, number: int | None) -> None:
        self.number = number
        self._sockets = ExitStack()
        if number is None:
            return
        found = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        with self._sockets:  # closed where one fails
            for family, address in {info[0]: info[4][0] for info in found}.items():
                both = is_dual(str(address))
                named = str(address), self.number
                with socket.create_server(named, family=family, dualstack_ipv6=both) as probe:
                    self.number = probe.getsockname()[1]
                held = self._sockets.enter_context(socket.socket(family, socket.SOCK_STREAM))
                if family == socket.AF_INET6:
                    held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not both))
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                held.bind((address, self.number))  # it never listens: no connection comes here
            self._sockets = self._sockets.pop_all()

    def __enter__(self) -> ReservedPort:
        """Keep it until the block ends."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of it."""
        self._sockets.close()
