"""Costs and latencies of real servers, in interleaved rounds.

CPU seconds are the server's own and mean the same on a busy machine; latencies and rates do not.
So each round measures capacity anew, and loads the server by shares of that.
"""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.contestants.wires import OpenInferenceBinary
from benchmarks.generator import Load, Prepared, run_load, write_prepared
from benchmarks.servers.processes import cpu_s, family
from benchmarks.servers.serving import Running, make_sequences, running_server
from service.manifest import read_manifest

STEPS = (16, 64, 200)
TYPICAL_STEPS = 64
SHARES = (0.3, 0.5, 0.7, 0.85)
CONNECTIONS = 64
OPEN_CONNECTIONS = 256
POOL = 128


@dataclass(frozen=True)
class Bench:
    """How to measure.

    Args:
        repository: Of bundles that classify frames.
        scratch: Folder for prepared requests.
        seconds: Of one measurement.
        rounds: Of all of them.
    """

    repository: Path
    scratch: Path
    seconds: float
    rounds: int

    def requests(self, model: str, steps: int) -> Path:
        """Requests of one sequence of so many steps each, as a file."""
        path = self.scratch / f"{model}-{steps}.bin"
        if not path.exists():
            manifest = read_manifest(next((self.repository / model).glob("1")))
            lengths = np.full(POOL, steps)
            drawn = make_sequences(manifest, lengths, np.random.default_rng(0))
            wire = OpenInferenceBinary()
            write_prepared(path, [Prepared(wire.request(model, [one])) for one in drawn])
        return path

    def load(self, connections: int, rate: float | None = None, seed: int = 0) -> Load:
        """A closed loop, or an open one of this rate."""
        return Load(connections, self.seconds, rate=rate, seed=seed)


@contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """Have what is started meanwhile run on these alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def measure(bench: Bench, model: str, server_cores: list[int], all_cores: list[int]) -> Any:
    """One model on a server of these cores; the generator has the others, or shares them all."""
    others = set(all_cores) - set(server_cores) or set(all_cores)
    threads = len(server_cores)
    with (
        on_cores(set(server_cores)),
        running_server(bench.repository, engine_threads=threads) as server,
        on_cores(others),
    ):
        _run(bench, server, model, TYPICAL_STEPS, bench.load(CONNECTIONS))  # the first is slower
        rounds = [_round(bench, server, model, number) for number in range(bench.rounds)]
    return {"model": model, "cores": threads, "rounds": rounds}


def _round(bench: Bench, server: Running, model: str, number: int) -> dict[str, Any]:
    costs = {}
    for steps in STEPS:
        found = _run(bench, server, model, steps, bench.load(CONNECTIONS))
        costs[steps] = found["cpu_s"]
    alone = _run(bench, server, model, TYPICAL_STEPS, bench.load(1))
    full = _run(bench, server, model, TYPICAL_STEPS, bench.load(CONNECTIONS))
    loads = []
    for share in SHARES:
        rate = share * full["throughput"]
        load = bench.load(OPEN_CONNECTIONS, rate, seed=number)
        found = _run(bench, server, model, TYPICAL_STEPS, load)
        loads.append({"share": share, "rate": rate, **found})
    again = _run(bench, server, model, TYPICAL_STEPS, bench.load(CONNECTIONS))
    return {
        "cpu_s_by_steps": costs,
        "alone": alone,
        "full": full,
        "loads": loads,
        # how much the machine changed meanwhile
        "drift": again["throughput"] / full["throughput"],
    }


def _run(bench: Bench, server: Running, model: str, steps: int, load: Load) -> dict[str, float]:
    batches = _batches(server)
    before_s = cpu_s(family(server.pid))
    found = run_load((server.host, server.port), bench.requests(model, steps), load)
    used_s = cpu_s(family(server.pid)) - before_s
    if set(found["statuses"]) != {"200"} or found["errors"]:
        raise RuntimeError(f"{model}: {found['statuses']}, {found['errors']} errors")
    rows, runs = (now - then for now, then in zip(_batches(server), batches, strict=True))
    return {
        "throughput": found["throughput"],
        "cpu_s": used_s / found["answers"],
        "batch": rows / runs,
        **{f"{name}_s": found["latency_ms"][name] / 1_000 for name in ("p50", "p90", "p99")},
    }


def _batches(server: Running) -> tuple[float, float]:
    """Sequences in all runs so far, and runs."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    sums = {"seqserve_batch_size_sum": 0.0, "seqserve_batch_size_count": 0.0}
    for metric in text_string_to_metric_families(text):
        for sample in metric.samples:
            if sample.name in sums:
                sums[sample.name] += sample.value
    rows, runs = sums.values()
    return rows, runs
