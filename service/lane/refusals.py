"""When callers are told that there is no room: at once, but only so many a second.

A refusal costs a read and a write, and a caller that asks again at once has the next one. Under a
flood of such callers refusing takes more time than answering. So there is a budget; who is refused
beyond it is told a little later, and meanwhile its connection is quiet. Nobody waits longer than
the shortest `Retry-After` that there is: who keeps to that loses nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

from service.errors import OverloadedError

if TYPE_CHECKING:
    from service.lane.turn import Turn

LONGEST_S = 1.0
BURST_S = 0.1
"""What was saved up of the budget in so long may go at a time."""
TICK_S = 0.01


class Refusals:
    """The refusals of one process; used on the event loop alone.

    Args:
        max_per_s: Told at once.
    """

    def __init__(self, max_per_s: float) -> None:
        self._per_s = max_per_s
        self._left = self._most = max(max_per_s * BURST_S, 1.0)
        self._counted_s = time.monotonic()
        self._waiting: deque[tuple[float, Turn, OverloadedError]] = deque()

    def defer(self, turn: Turn, error: OverloadedError) -> bool:
        """Whether this one waits; `turn.refuse_now` is called then when its time has come."""
        now_s = time.monotonic()
        if not self._waiting:
            if self._may_tell(now_s):
                return False
            self._tell_later()
        self._waiting.append((now_s, turn, error))
        return True

    def _tell(self) -> None:
        try:
            self._tell_due(time.monotonic())
        finally:  # whatever becomes of one, the others are told
            if self._waiting:
                self._tell_later()

    def _tell_due(self, now_s: float) -> None:
        while self._waiting:
            since_s, turn, error = self._waiting[0]
            if not turn.over and now_s < since_s + LONGEST_S and not self._may_tell(now_s):
                return
            self._waiting.popleft()
            turn.refuse_now(error)

    def _tell_later(self) -> None:
        asyncio.get_running_loop().call_later(TICK_S, self._tell)

    def _may_tell(self, now_s: float) -> bool:
        self._left = min(self._left + self._per_s * (now_s - self._counted_s), self._most)
        self._counted_s = now_s
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
