"""One request on a connection's lane: its body gathered, its answer sent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from service.api.calls import Call, Services
from service.api.exchange import Answer
from service.errors import DrainingError
from service.lane.heads import HotHead

if TYPE_CHECKING:
    from service.lane.connection import Lane

log = structlog.get_logger(__name__)


class Turn(Call):
    """A call on a lane.

    Args:
        lane: The connection.
        services: Of the server.
        hot: The request's head.
        length: Of its body, in bytes.
    """

    def __init__(self, lane: Lane, services: Services, hot: HotHead, length: int) -> None:
        super().__init__(services, hot.handler, hot.head)
        self.keep_alive = hot.keep_alive
        self.num_missing = length
        """Bytes of the body that have not come."""
        self._lane = lane
        self._parts: list[bytes] = []

    def begin(self, body: bytes) -> None:
        """Go on with what of the body came with the head."""
        self.enter()
        self.add(body)

    def add(self, part: bytes) -> None:
        """Take the next part of the body; of one that is answered already, let it pass."""
        self.num_missing -= len(part)
        if self.over:
            if not self.num_missing:
                self._lane.go_on()
        elif self.num_missing:
            self._parts.append(part)
        elif self._parts:
            self.run(b"".join([*self._parts, part]))
        else:
            self.run(part)

    def cancel(self, msg: object = None) -> None:
        """Have it over now: uvicorn ends what it takes for tasks when the time to stop is over."""
        error = DrainingError("the server stopped before it answered")
        self._lane.loop.call_soon(self.fail, error)

    def send(self, answer: Answer) -> None:
        """Write it."""
        self._lane.send(self, answer)
        if self.settings.access_log:
            log.info(
                "request",
                request_id=self.request_id,
                method="POST",
                path=self.head.path,
                status=answer.status,
                elapsed_ms=1_000 * (time.perf_counter() - self.started_s),
            )
