"""The listening sockets of a server whose connections other processes serve."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)

BACKLOG = 2_048  # as uvicorn's
OUT_OF_FILES_S = 1.0


class Port:
    """Listens on every address of a host; accepts while it is open, else connections wait.

    Args:
        host: Name or address.
        number: 0 takes a free one.

    Raises:
        OSError: An address is taken, or none of this machine.
    """

    def __init__(self, host: str, number: int) -> None:
        found = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self._listeners = [
            socket.create_server(address, family=family, backlog=BACKLOG)
            for family, address in {info[0]: info[4] for info in found}.items()
        ]
        for listener in self._listeners:
            listener.setblocking(False)
        self._is_open = False
        self.number: int = self._listeners[0].getsockname()[1]

    def set_open(self, is_open: bool, take: Callable[[socket.socket], None]) -> None:
        """Give each connection that comes to `take`, or leave them in the kernel's queue."""
        if is_open == self._is_open:
            return
        self._is_open = is_open
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            if is_open:
                loop.add_reader(listener, self._accept, listener, take)
            else:
                loop.remove_reader(listener)

    def close(self, take: Callable[[socket.socket], None]) -> None:
        """Accept who came so far, and nobody after."""
        self.set_open(False, take)
        while self._listeners:
            with self._listeners.pop() as listener, contextlib.suppress(OSError):
                for _ in range(BACKLOG):
                    take(listener.accept()[0])

    def _accept(self, listener: socket.socket, take: Callable[[socket.socket], None]) -> None:
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            log.error("can't accept", reason=str(error))
            self.set_open(False, take)
            asyncio.get_running_loop().call_later(OUT_OF_FILES_S, self.set_open, True, take)
        else:
            take(connection)
