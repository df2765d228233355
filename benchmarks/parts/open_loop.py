"""Open loop: requests arrive at 70 % of a peer's own capacity, whoever is asked.

The peer and ours of the same wire format take turns at the very same arrivals.
"""

from __future__ import annotations

from benchmarks.contestants.contestant import Contestant
from benchmarks.generator import Load
from benchmarks.parts.closed import Case, rotated
from benchmarks.results import Part, read_part
from benchmarks.session import Session

SHARE_OF_CAPACITY = 0.7
CAPACITY = Case("lstm", "var", 64)
CONNECTIONS = 256
WORTH_A_RACE = 0.2
"""Peers below this share of the fastest peer's capacity are left out: nobody would choose them."""
TIMES_AS_LONG = 3
"""As a closed loop's measurement: a percentile of 99 wants thousands of requests."""


def case_name(peer: str) -> str:
    """As the report shows it."""
    return f"lstm var at {SHARE_OF_CAPACITY:.0%} of {peer}"


def measure(session: Session) -> None:
    """Ours against each peer that is worth it, in interleaved rounds."""
    part, closed = session.part("open_loop"), read_part(session.results, "closed")
    ours = {c.wire: c for c in session.working("seqserve", "seqserve-binary")}
    peers = worth_a_race(closed, [c for c in session.contestants if c.server != "seqserve"])
    for number in range(session.rounds):
        for peer in rotated(peers, number):
            pair = [c for c in (peer, ours.get(peer.wire)) if c is not None]
            for contestant in rotated(pair, number):
                rate = SHARE_OF_CAPACITY * _capacity(closed, peer)
                seconds = TIMES_AS_LONG * session.seconds
                load = Load(CONNECTIONS, seconds, rate=rate, seed=number)
                pool, case = session.pool(CAPACITY.pool), case_name(peer.name)
                session.measure(part, contestant, CAPACITY.model, pool, case, load)
    session.fleet.rest()


def worth_a_race(closed: Part, peers: list[Contestant]) -> list[Contestant]:
    """Those that can be stopped where they stand and reached a good share of the best's capacity.

    The closed loop's part must have been measured before.
    """
    able = [c for c in peers if c.pausable and _capacity(closed, c)]
    best = max((_capacity(closed, c) for c in able), default=0.0)
    return [c for c in able if _capacity(closed, c) >= WORTH_A_RACE * best]


def _capacity(closed: Part, peer: Contestant) -> float:
    return closed.median(peer.name, CAPACITY.name, "throughput") or 0.0
