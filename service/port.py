"""The listening sockets of a server: addresses of a host, or a file."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import structlog

from service.settings import Settings

log = structlog.get_logger(__name__)

BACKLOG = 2_048  # as uvicorn's
OUT_OF_FILES_S = 1.0
ANY_IPV6 = "::"
FOR_EVERYBODY = 0o666  # as uvicorn's


class Port:
    """Listens on every address of a host; accepts while it is open, else connections wait.

    Args:
        settings: Its `host` and `port`, of which 0 takes a free one, or its `uds`.

    Raises:
        OSError: An address is taken, or none of this machine.
    """

    def __init__(self, settings: Settings) -> None:
        self._file: Path | None = settings.uds
        if self._file is not None:
            self._listeners = [_listen_at(self._file)]
            self._file_id = _id_of(self._file)
        else:
            self._listeners = _listen(settings.host, settings.port)
        for listener in self._listeners:
            listener.setblocking(False)
        self._is_open = False
        self.name = f"unix socket {self._file}"
        """As uvicorn tells it."""
        if self._file is None:
            number: int = self._listeners[0].getsockname()[1]
            scheme = "http" if settings.tls_certificate is None else "https"
            self.name = f"{scheme}://{address_of(settings.host, number)}"

    def copies(self) -> list[socket.socket]:
        """The same sockets for another to accept from, who may close them."""
        return [listener.dup() for listener in self._listeners]

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
        if self._file is not None and _id_of(self._file) == self._file_id:
            self._file.unlink()

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


def address_of(host: str, port: int) -> str:
    """Host and port as they are written."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_dual(host: str) -> bool:
    """Whether who listens there hears IPv4 too: on every address of a machine that has both."""
    return host == ANY_IPV6 and socket.has_dualstack_ipv6()


def _listen(host: str, number: int) -> list[socket.socket]:
    found = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    with contextlib.ExitStack() as opened:  # closed where one fails
        listeners: list[socket.socket] = []
        for family, address in {info[0]: info[4][0] for info in found}.items():
            listener = socket.create_server(
                (str(address), number),
                family=family,
                backlog=BACKLOG,
                dualstack_ipv6=is_dual(str(address)),
            )
            listeners.append(opened.enter_context(listener))
            number = listener.getsockname()[1]  # the same for all
        opened.pop_all()
        return listeners


def _listen_at(path: Path) -> socket.socket:
    """A Unix socket; one that a server left behind goes, and its permissions stay."""
    mode = FOR_EVERYBODY
    with contextlib.suppress(FileNotFoundError):
        found = path.lstat()
        if not stat.S_ISSOCK(found.st_mode) or _is_served(path):
            raise OSError(errno.EADDRINUSE, f"uds: {path} is in use")
        mode = stat.S_IMODE(found.st_mode)
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(mode)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"uds: {path}: {error}") from None
    return listener


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0


def _id_of(path: Path) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
