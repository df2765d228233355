"""Connections that workers serve, kept open in the supervisor, too: when a worker dies, who waits
for an answer gets one.

What of a connection is under way the kernel knows: a request came last, and nothing is on its way
back. No byte of it is looked at here, and workers tell nothing of requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import resource
import select
import socket
import struct
import termios

import orjson

LINGER_S = 1.0  # for an answer to arrive before what the client still sends resets the connection
TCP_INFO_BYTES = 160
LAST_SENT_AT, LAST_RECEIVED_AT = 44, 52  # of `struct tcp_info`, ms since
RECEIVED_AT, NUM_SENT_AT = 128, 156  # bytes; segments with data

_BODY = orjson.dumps(
    {"error": "the worker that computed this ended; ask again", "code": "worker_ended"}
)
ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)


class Kept:
    """Those that a worker has taken, until it or the client closes them; for the event loop.

    A worker shuts a connection down before it closes it, as that alone would not end it.
    """

    def __init__(self) -> None:
        self._workers: dict[int, int] = {}  # by descriptor
        self._connections: dict[int, socket.socket] = {}
        self._lingering: set[socket.socket] = set()  # answered, and soon closed
        self._epoll = select.epoll()
        # the rest of its files are for connections that are to be handed out
        self._most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2

    def start(self) -> None:
        """Let go of what is closed, from now on."""
        asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._let_go)

    def keep(self, connection: socket.socket, worker: int) -> None:
        """Keep a connection that the worker of this index has taken; of too many, none."""
        if len(self._connections) >= self._most:
            connection.close()
            return
        descriptor = connection.fileno()
        self._connections[descriptor], self._workers[descriptor] = connection, worker
        self._epoll.register(descriptor, 0)  # told of its end alone

    def answer(self, worker: int) -> int:
        """The worker of this index is dead: answer who waits, and close its connections.

        Returns:
            How many waited.
        """
        mine = [descriptor for descriptor, index in self._workers.items() if index == worker]
        return sum(self._answer(self._take(descriptor)) for descriptor in mine)

    def _answer(self, connection: socket.socket) -> bool:
        is_waiting = False
        with contextlib.suppress(OSError):  # its client is gone
            if is_waiting := awaits_answer(connection):
                _discard_input(connection)
                connection.send(ANSWER, socket.MSG_DONTWAIT)
            connection.shutdown(socket.SHUT_WR)
        if is_waiting:
            self._lingering.add(connection)
            asyncio.get_running_loop().call_later(LINGER_S, self._close, connection)
        else:
            connection.close()
        return is_waiting

    def close(self) -> None:
        """Keep none any more: the workers have ended."""
        asyncio.get_running_loop().remove_reader(self._epoll.fileno())
        self._epoll.close()
        for connection in [*self._connections.values(), *self._lingering]:
            self._close(connection)

    def _close(self, connection: socket.socket) -> None:
        self._lingering.discard(connection)
        with connection, contextlib.suppress(OSError):
            _discard_input(connection)

    def _let_go(self) -> None:
        for descriptor, _ in self._epoll.poll(0):
            self._take(descriptor).close()

    def _take(self, descriptor: int) -> socket.socket:
        self._epoll.unregister(descriptor)
        del self._workers[descriptor]
        return self._connections.pop(descriptor)


def awaits_answer(connection: socket.socket) -> bool:
    """Whether a request has come, or a part of one, and nothing of an answer to it has gone.

    Where both are of one moment by the kernel's clock, of some milliseconds, nobody can tell which
    came last. Then it is said to wait, as clients that ask at once again do;
    one that does not drops a connection on which it is told unasked, as with a 408.

    Raises:
        OSError: The connection is gone, or no TCP.
    """
    if _count(connection, termios.TIOCOUTQ):  # an answer is on its way
        return False
    if _count(connection, termios.FIONREAD):
        return True
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
    if len(info) < TCP_INFO_BYTES:
        return False
    ((sent_ms,), (received_ms,), (num_sent,)) = (
        struct.unpack_from("=I", info, at) for at in (LAST_SENT_AT, LAST_RECEIVED_AT, NUM_SENT_AT)
    )
    (num_received,) = struct.unpack_from("=Q", info, RECEIVED_AT)
    return bool(num_received) and (not num_sent or received_ms <= sent_ms)


def _count(connection: socket.socket, request: int) -> int:
    (count,) = struct.unpack("=i", fcntl.ioctl(connection.fileno(), request, bytes(4)))
    return int(count)


def _discard_input(connection: socket.socket) -> None:
    """Read what there is, as a connection that is closed before is reset, and its answer lost."""
    with contextlib.suppress(BlockingIOError):
        while connection.recv(1 << 16, socket.MSG_DONTWAIT):
            pass
