"""Where a request's microseconds go: CPU time by thread over the answers, from the kernel's counts.

`python -m benchmarks.threads` prints a row for each pool and wire: event loops (the main threads),
engine threads (all others), and the load generator, in microseconds an answer.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.contestants.contestant import Contestant, contestants
from benchmarks.generator import Load, Prepared, run_load, write_prepared
from benchmarks.graphs import make_repository
from benchmarks.reporting.tables import table
from benchmarks.servers.own import our_server
from benchmarks.servers.processes import family, loops_and_others_s
from benchmarks.servers.serving import Running
from benchmarks.workload import pool

OURS = ("seqserve-binary", "seqserve")
POOLS = ("f64", "var")
CONNECTIONS = 64


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one measurement")
    arguments = parser.parse_args()
    ours = {each.name: each for each in contestants() if each.name in OURS}
    found: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    with TemporaryDirectory() as folder:
        repository = Path(folder) / "repository"
        make_repository(repository)
        with our_server(ours[OURS[0]], repository) as server:
            for _ in range(arguments.rounds):
                for name in POOLS:
                    for contestant in ours.values():
                        path = _prepare(contestant, name, Path(folder))
                        row = _measure(server, path, arguments.seconds)
                        found.setdefault((name, contestant.name), []).append(row)
    head = ["pool", "asked", "event loops, µs", "engine, µs", "generator, µs", "requests/s"]
    rows = [
        [*key, *(f"{value:,.0f}" for value in np.median(measured, axis=0))]
        for key, measured in found.items()
    ]
    print(table(head, rows))


def _prepare(contestant: Contestant, name: str, folder: Path) -> Path:
    asked = pool(name).requests
    prepared = [Prepared(contestant.request("lstm", sequences)) for sequences in asked]
    return write_prepared(folder / "requests", prepared)


def _measure(server: Running, requests: Path, seconds: float) -> tuple[float, ...]:
    """Microseconds an answer of loops, other threads and the generator; answers a second."""
    pids = family(server.pid)
    before = loops_and_others_s(pids)
    load = Load(CONNECTIONS, seconds, warmup_s=0.0)
    result = run_load((server.host, server.port), requests, load)
    after = loops_and_others_s(pids)
    spent = (after[0] - before[0], after[1] - before[1], result["cpu_s"])
    return *(1e6 * each / result["answers"] for each in spent), result["throughput"]


if __name__ == "__main__":
    main()
