"""When a connection is read, and what it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Sized
from typing import NamedTuple

from uvicorn.protocols.http.flow_control import FlowControl

from service.errors import RequestTimeoutError


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


def late(waiting: Waiting) -> RequestTimeoutError:
    """What a client is told that took too long."""
    return RequestTimeoutError(
        f"the request's {waiting.what} did not come whole within {waiting.allowed_s:g} s"
    )
