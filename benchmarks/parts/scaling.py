"""What a request costs our server: by length, batch, hidden size, loaded models and connections.

Also the transport alone (a graph that does nothing) and the padding of both schedulers.
"""

from __future__ import annotations

import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants.contestant import Contestant
from benchmarks.generator import Load
from benchmarks.graphs import ARCHITECTURES, make_bundle, make_nothing
from benchmarks.results import Part
from benchmarks.servers.own import copy_bundle, our_server
from benchmarks.servers.serving import Running
from benchmarks.session import Session
from benchmarks.verify_load import cells
from benchmarks.workload import Pool, fixed_pool

LENGTHS = (8, 16, 32, 64, 128, 256, 512)
BATCHES = (1, 2, 4, 8, 16, 32)
HIDDEN_SIZES = (64, 128, 256)
LOADED = (1, 10, 100)
CONNECTIONS = (1, 8, 64, 256, 1_000, 2_000)
MANY_CONNECTIONS = 1_000
MAX_QUEUE_SIZE = 4_096  # so that 2,000 connections are served, not refused


@dataclass(frozen=True)
class Point:
    """One measurement: `connections` send `pool` to `model` of the server named so."""

    case: str
    server: str
    model: str
    pool: Pool
    connections: int = 32


def points() -> Iterator[Point]:
    """All of them."""
    for steps in LENGTHS:
        yield Point(f"length {steps}", "main", "lstm", fixed_pool(steps, count=64))
    for size in BATCHES:
        pool = fixed_pool(64, sequences=size, count=max(4, 128 // size))
        yield Point(f"batch {size}", "main", "lstm", pool, connections=max(2, 32 // size))
    for size in HIDDEN_SIZES:
        model = "lstm" if size == ARCHITECTURES["lstm"]["hidden_size"] else f"lstm-{size}"
        yield Point(f"hidden {size}", "main", model, fixed_pool(64))
    for count in LOADED:
        yield Point(f"loaded {count}", f"loaded {count}", copy_name(0), fixed_pool(64))
    for count in CONNECTIONS:
        yield Point(f"connections {count}", "main", "lstm", fixed_pool(64), count)


def copy_name(index: int) -> str:
    """Of one of many copies of the LSTM."""
    return f"lstm-copy-{index}"


def measure(session: Session) -> None:
    """All points in interleaved rounds, then the transport alone and the padding."""
    ours = {c.name: c for c in session.working("seqserve", "seqserve-binary")}
    contestant = ours.get("seqserve-binary") or ours.get("seqserve")
    if contestant is None:
        return
    part = session.part("scaling")
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(
                our_server(contestant, repository, max_queue_size=MAX_QUEUE_SIZE)
            )
            for name, repository in _repositories(session).items()
        }
        _record_starts(session, part, contestant.name, servers)
        for _ in range(session.rounds):
            for point in points():
                server = servers[point.server]
                path = session.prepare(contestant, point.model, point.pool)
                at = ((server.host, server.port), server.pid)
                session.record(part, contestant.name, point.case, at, path, _load(session, point))
            for name in ("seqserve", "seqserve-binary"):
                if name in ours:
                    _measure_transport(session, part, ours[name], servers["main"])
        _measure_padding(session, part, contestant, servers["main"])


def _load(session: Session, point: Point) -> Load:
    """Longer for very many connections: each must have its turn more than once."""
    if point.connections < MANY_CONNECTIONS:
        return Load(point.connections, min(1.0, session.seconds), warmup_s=0.3)
    return Load(point.connections, 3 * session.seconds, warmup_s=1.5)


def _repositories(session: Session) -> dict[str, Path]:
    """One with LSTMs of other sizes and a graph that does nothing, others with many copies."""
    main = session.scratch / "main"
    shutil.copytree(session.repository, main)
    for size in HIDDEN_SIZES:
        if size != ARCHITECTURES["lstm"]["hidden_size"]:
            make_bundle(main, f"lstm-{size}", **(ARCHITECTURES["lstm"] | {"hidden_size": size}))
    make_nothing(main)
    found = {"main": main}
    for count in LOADED:
        found[f"loaded {count}"] = folder = session.scratch / f"loaded-{count}"
        for index in range(count):
            copy_bundle(session.repository / "lstm" / "1", folder, copy_name(index))
    return found


def _record_starts(
    session: Session, part: Part, contestant: str, servers: dict[str, Running]
) -> None:
    for name, server in servers.items():
        record = {"contestant": contestant, "case": f"start {name}", **session.stamp()}
        part.add(record | {"ready_s": round(server.ready_s, 3)})


def _measure_transport(
    session: Session, part: Part, contestant: Contestant, server: Running
) -> None:
    for pool in ("f64", "var"):
        path = session.prepare(contestant, "nothing", session.pool(pool))
        at = ((server.host, server.port), server.pid)
        load = Load(64, session.seconds)
        session.record(part, contestant.name, f"transport {pool} c64", at, path, load)


def _measure_padding(session: Session, part: Part, contestant: Contestant, server: Running) -> None:
    """Real cells by all that were computed under mixed lengths, by the server's own count."""
    for model in ARCHITECTURES:
        before = _cells(server, model)
        path = session.prepare(contestant, model, session.pool("var"))
        at = ((server.host, server.port), server.pid)
        load = Load(64, session.seconds)
        record = session.record(part, contestant.name, f"padding {model} var c64", at, path, load)
        after = _cells(server, model)
        real, padded = (after[kind] - before[kind] for kind in ("real", "padded"))
        record["padding_efficiency"] = round(real / (real + padded), 4) if real else None
        part.save()


def _cells(server: Running, model: str) -> dict[str, float]:
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as answer:
        return cells(answer.read().decode()).get(model, {"real": 0.0, "padded": 0.0})
