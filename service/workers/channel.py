"""What a supervisor and its worker tell each other, over a Unix socket that keeps messages apart.

Down come connections and orders, up come reports. The stream's end is an order too: no further
connection comes, so answer what is open and end. A worker sees it as well when its supervisor dies.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

ALL_LOADED = b"all loaded"  # every worker has tried its bundles: readiness may say so
DRAIN = b"drain"  # say not ready, serve on
_CONNECTION = b"connection"
_REPORT = struct.Struct("<QQ?")


class Report(NamedTuple):
    """How a worker is.

    Args:
        taken: Connections that it took so far.
        num_open: Connections that it has now.
        loaded: It has tried all its bundles.
    """

    taken: int
    num_open: int
    loaded: bool


def make_channel() -> tuple[socket.socket, socket.socket]:
    """The supervisor's end and the worker's, neither of which blocks."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(False)
    return ends


def send_connection(channel: socket.socket, connection: socket.socket) -> None:
    """Hand a connection over; it stays open here, too.

    Raises:
        BlockingIOError: The other side reads too slowly.
        OSError: It is gone.
    """
    socket.send_fds(channel, [_CONNECTION], [connection.fileno()])


def receive_order(channel: socket.socket) -> tuple[bytes, socket.socket | None]:
    """The next order, empty at the end; and the connection, if it came with one.

    Raises:
        BlockingIOError: There is none yet.
    """
    order, descriptors, _, _ = socket.recv_fds(channel, 64, 1, socket.MSG_CMSG_CLOEXEC)
    return order, socket.socket(fileno=descriptors[0]) if descriptors else None


def send_report(channel: socket.socket, report: Report) -> None:
    """Say how this worker is.

    Raises:
        BlockingIOError: The supervisor reads too slowly.
        OSError: It is gone.
    """
    channel.send(_REPORT.pack(*report))


def receive_report(channel: socket.socket) -> Report | None:
    """The next report; None at the end.

    Raises:
        BlockingIOError: There is none yet.
    """
    message = channel.recv(_REPORT.size)
    return Report(*_REPORT.unpack(message)) if message else None
