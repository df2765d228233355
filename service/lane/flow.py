"""When a connection is read, and what it waits for."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from collections.abc import Sized
from typing import NamedTuple

from uvicorn.protocols.http.flow_control import FlowControl

from service.errors import RequestTimeoutError
from service.security.settings import SecuritySettings


class PipelineFlow(FlowControl):
    """Reads no more while requests wait behind another: uvicorn's own lets them pile up.

    Args:
        transport: Of the connection.
        waiting: The requests that wait; they are complete, but for the last one at most.
    """

    def __init__(self, transport: asyncio.Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        """Read again, if nothing waits."""
        if not self._waiting:
            super().resume_reading()


class Waiting(NamedTuple):
    """What a connection waits for its client to do.

    Args:
        rank: Those with the lowest make room first.
        since_s: On the loop's clock.
        allowed_s: No longer.
        what: That does not come, for a client that could be told; empty: it is just closed.
    """

    rank: int
    since_s: float
    allowed_s: float
    what: str = ""


class Progress:
    """How far a transfer has come, and how long it may yet take.

    It may stand still for `transfer_timeout_s`, and on the whole fall behind
    `min_transfer_bytes_per_s` by no more than that.

    Args:
        now_s: On the loop's clock, as all times here.
    """

    def __init__(self, now_s: float) -> None:
        self._began_s = self._moved_s = now_s
        self._num_bytes = 0

    def note(self, num_bytes: int, now_s: float) -> None:
        """So many bytes more have gone or come."""
        if num_bytes > 0:
            self._num_bytes += num_bytes
            self._moved_s = now_s

    def waiting(self, settings: SecuritySettings, what: str = "") -> Waiting:
        """For the next of it."""
        paid_s = self._began_s + self._num_bytes / settings.min_transfer_bytes_per_s
        ends_s = min(self._moved_s, paid_s) + settings.transfer_timeout_s
        return Waiting(2, self._began_s, ends_s - self._began_s, what)


class Outgoing:
    """What is written and not taken yet, looked at now and then.

    Args:
        transport: Of the connection.
        now_s: On the loop's clock.
    """

    def __init__(self, transport: asyncio.Transport, now_s: float) -> None:
        self._transport = transport
        self._progress = Progress(now_s)
        self._left = self._num_left()

    def waiting(self, settings: SecuritySettings, now_s: float) -> Waiting:
        """For the client to take it."""
        left = self._num_left()
        self._progress.note(self._left - left, now_s)
        self._left = left
        return self._progress.waiting(settings)

    def _num_left(self) -> int:
        """Bytes in the transport, and in the kernel, which may hold much for a slow reader."""
        held: int = self._transport.get_write_buffer_size()
        connection = self._transport.get_extra_info("socket")
        if connection is None or connection.fileno() < 0:
            return held
        queued = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
        return held + int(struct.unpack("i", queued)[0])


def late(waiting: Waiting) -> RequestTimeoutError:
    """What a client is told that took too long."""
    return RequestTimeoutError(
        f"the request's {waiting.what} did not come whole within {waiting.allowed_s:.3g} s"
    )
