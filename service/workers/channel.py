"""What a supervisor and its worker tell each other, over a Unix socket that keeps messages apart.

Down come connections and orders, up come reports; changes of the models go both ways, their
contents in a file that exists in memory alone. The stream's end is an order too: no further
connection comes, so answer what is open and end. A worker sees it as well when its supervisor dies.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from typing import NamedTuple

from service.engine.board import Running

ALL_LOADED = b"all loaded"  # every worker has tried its bundles: readiness may say so
DRAIN = b"drain"  # say not ready, serve on
_CONNECTION = b"connection"
_REPORT = struct.Struct("<cQQ?")
_NUMBERED = struct.Struct("<cQ")
_SECONDS = struct.Struct("<cd")
_IS_REPORT, _IS_WISH, _IS_DONE, _IS_CHANGE, _IS_BAR = b"r", b"w", b"d", b"c", b"q"
MAX_BYTES = 32_768  # of a message


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


class Wish(NamedTuple):
    """A change that a worker was asked for, and that all are to make.

    Args:
        number: Of the worker's wishes.
        model: Which it is of; enough of the name to tell it from others.
        descriptor: Of a file that says it, the receiver's to close; -1 if the kernel dropped it.
    """

    number: int
    model: bytes
    descriptor: int


class Change(NamedTuple):
    """A change that a worker is to make.

    Args:
        number: Of the supervisor's changes.
        descriptor: As of the wish.
    """

    number: int
    descriptor: int


class Done(NamedTuple):
    """A change is made: by one worker, as it says, or by all, as the one that wished it hears.

    Args:
        number: Of the change, or of the wish.
        failure: Why it is not, if so: a `Failure`, encoded.
    """

    number: int
    failure: bytes


class Bar(NamedTuple):
    """A model of which a worker is to run nothing for a while: see `Engine.bar`.

    Args:
        model: Which.
        seconds: How long.
    """

    model: Running
    seconds: float


def make_channel() -> tuple[socket.socket, socket.socket]:
    """The supervisor's end and the worker's, neither of which blocks."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(False)
    return ends


# each send raises BlockingIOError if the other side reads too slowly, OSError if it is gone


def send_connection(channel: socket.socket, connection: socket.socket) -> None:
    """Hand a connection over; it stays open here, too."""
    socket.send_fds(channel, [_CONNECTION], [connection.fileno()])


def send_report(channel: socket.socket, report: Report) -> None:
    """Say how this worker is."""
    channel.send(_REPORT.pack(_IS_REPORT, *report))


def send_wish(channel: socket.socket, wish: Wish) -> None:
    """Wish a change; its file stays open here, too."""
    message = _NUMBERED.pack(_IS_WISH, wish.number) + wish.model
    socket.send_fds(channel, [message], [wish.descriptor])


def send_change(channel: socket.socket, change: Change) -> None:
    """Have a worker make a change; its file stays open here, too."""
    socket.send_fds(channel, [_NUMBERED.pack(_IS_CHANGE, change.number)], [change.descriptor])


def send_bar(channel: socket.socket, bar: Bar) -> None:
    """Have a worker leave a model alone."""
    channel.send(_SECONDS.pack(_IS_BAR, bar.seconds) + json.dumps(bar.model).encode())


def send_done(channel: socket.socket, done: Done) -> None:
    """Say what became of a change."""
    room = MAX_BYTES - _NUMBERED.size
    channel.send(_NUMBERED.pack(_IS_DONE, done.number) + done.failure[:room])


def receive_order(channel: socket.socket) -> bytes | socket.socket | Change | Done | Bar | None:
    """The next order of the supervisor's; a connection, None if the kernel dropped it; b"" the end.

    Raises:
        BlockingIOError: There is none yet.
    """
    order, descriptor = _receive(channel)
    if order == _CONNECTION:
        return None if descriptor < 0 else socket.socket(fileno=descriptor)
    if order in (ALL_LOADED, DRAIN, b""):
        return order
    if order[:1] == _IS_BAR:
        _, seconds = _SECONDS.unpack_from(order)
        return Bar(Running(*json.loads(order[_SECONDS.size :])), seconds)
    kind, number = _NUMBERED.unpack_from(order)
    if kind == _IS_DONE:
        return Done(number, order[_NUMBERED.size :])
    return Change(number, descriptor)


def receive_message(channel: socket.socket) -> Report | Wish | Done | None:
    """The next message of a worker's; None at the end.

    Raises:
        BlockingIOError: There is none yet.
    """
    message, descriptor = _receive(channel)
    if not message:
        return None
    if message[:1] == _IS_REPORT:
        return Report(*_REPORT.unpack(message)[1:])
    kind, number = _NUMBERED.unpack_from(message)
    rest = message[_NUMBERED.size :]
    return Done(number, rest) if kind == _IS_DONE else Wish(number, rest, descriptor)


def _receive(channel: socket.socket) -> tuple[bytes, int]:
    message, descriptors, _, _ = socket.recv_fds(channel, MAX_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
    return message, descriptors[0] if descriptors else -1


def write_file(contents: bytes) -> int:
    """A file in memory with these contents; its descriptor."""
    descriptor = os.memfd_create("seqserve-change")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(contents)
    return descriptor


def read_file(descriptor: int) -> bytes:
    """All that is in a file which other processes may be reading, too; it is closed."""
    try:
        size = os.fstat(descriptor).st_size
        parts: list[bytes] = []
        while (at := sum(map(len, parts))) < size:
            parts.append(os.pread(descriptor, size - at, at))
        return b"".join(parts)
    finally:
        os.close(descriptor)
