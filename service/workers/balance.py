"""Which worker gets the next connection."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TypeVar

from service.workers.channel import Report

MAX_UNDER_WAY = 64


@dataclasses.dataclass
class Share:
    """One worker's part of the connections.

    Args:
        handed: Connections that were sent to it.
        turn: When it got its latest, in connections of all workers.
        report: Its latest; None until it takes connections, and when it is gone.
    """

    handed: int = 0
    turn: int = 0
    report: Report | None = None

    @property
    def num_connections(self) -> int:
        """Those that it has, and those that are on their way to it."""
        assert self.report is not None
        return self.report.num_open + self.handed - self.report.taken


S = TypeVar("S", bound=Share)


def choose(shares: Iterable[S]) -> S | None:
    """The share with the fewest connections, of equals the one whose latest is longest ago.

    A worker that still loads gets some only if all do, and one that leaves many on their way none.

    Returns:
        None if no worker can take a connection: it had better wait in the listening socket.
    """
    able = [
        share
        for share in shares
        if share.report is not None and share.handed - share.report.taken < MAX_UNDER_WAY
    ]
    return min(able, key=_rank, default=None)


def _rank(share: Share) -> tuple[bool, int, int]:
    assert share.report is not None
    return not share.report.loaded, share.num_connections, share.turn
