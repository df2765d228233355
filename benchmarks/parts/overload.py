"""Five times as much as our server can take: what is still answered, and how late.

The server's deadline is `DEADLINE_S`; an arrival that finds all connections busy is dropped, as by
the balancer before a real server.
"""

from __future__ import annotations

from benchmarks.generator import Load
from benchmarks.servers.own import our_server
from benchmarks.session import Session

DEADLINE_S = 0.5
TIMES = 5
CONNECTIONS = 4_000
"""More than are answered within the deadline, so that many must be refused."""
CAPACITY_CONNECTIONS = {"var": 64, "b32": 4}
CASES = (("seqserve", "var"), ("seqserve-binary", "var"), ("seqserve-binary", "b32"))
"""Whom to ask what: one sequence a request, and 32, of which a generator can send as many."""


def capacity_case(pool: str) -> str:
    """As the report shows it."""
    return f"lstm {pool} capacity"


def overload_case(pool: str) -> str:
    """As the report shows it."""
    return f"lstm {pool} at {TIMES} x capacity"


def measure(session: Session) -> None:
    """Capacity, then the overload, one after the other in each round."""
    part = session.part("overload")
    by_name = {c.name: c for c in session.working("seqserve", "seqserve-binary")}
    cases = [(by_name[name], pool) for name, pool in CASES if name in by_name]
    if not cases:
        return
    with our_server(cases[0][0], session.repository, request_timeout_s=DEADLINE_S) as server:
        at = ((server.host, server.port), server.pid)
        for number in range(session.rounds):
            for contestant, pool in cases:
                path = session.prepare(contestant, "lstm", session.pool(pool))
                load = Load(CAPACITY_CONNECTIONS[pool], 2 * session.seconds)
                name = contestant.name
                record = session.record(part, name, capacity_case(pool), at, path, load)
                flood = Load(
                    CONNECTIONS,
                    2 * session.seconds,
                    warmup_s=1.0,
                    rate=TIMES * record["throughput"],
                    deadline_s=DEADLINE_S,
                    drop_when_busy=True,
                    seed=number,
                )
                session.record(part, name, overload_case(pool), at, path, flood)
