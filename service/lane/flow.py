"""When a connection is read."""

from __future__ import annotations

import asyncio
from collections.abc import Sized

from uvicorn.protocols.http.flow_control import FlowControl


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
