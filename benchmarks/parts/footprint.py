"""What `python -m service` costs as shipped: cold start, and memory with the bundled models."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.contestants.wires import OpenInferenceJson
from benchmarks.generator import Load, Prepared, write_prepared
from benchmarks.servers.processes import family, resident_mib
from benchmarks.servers.serving import bundles, make_sequences, mixed_lengths, running_server
from benchmarks.session import Session
from service.manifest import read_manifest

CONTESTANT = "seqserve"
BUNDLED = Path(__file__).parents[2] / "repository"
STARTS = 5
CONNECTIONS = 32
COUNT = 64  # requests a model


def measure(session: Session) -> None:
    """Starts one after the other; the last server is put under load, every model at once."""
    part = session.part("footprint")
    session.fleet.rest()
    requests = write_prepared(session.scratch / "bundled.bin", _requests())
    for number in range(STARTS):
        with running_server(BUNDLED) as server:
            record = {"contestant": CONTESTANT, "case": "cold start", **session.stamp()}
            record["ready_s"] = round(server.ready_s, 3)
            record["server_mib"] = round(resident_mib(family(server.pid)), 1)
            part.add(record)
            print(f"  cold start {server.ready_s:.2f} s, {record['server_mib']} MiB", flush=True)
            if number == STARTS - 1:
                at = ((server.host, server.port), server.pid)
                load = Load(CONNECTIONS, 2 * session.seconds)
                session.record(part, CONTESTANT, "bundled models under load", at, requests, load)


def _requests() -> list[Prepared]:
    """Of every bundled model, mixed."""
    random = np.random.default_rng(0)
    wire, prepared = OpenInferenceJson(), []
    for folder in bundles(BUNDLED):
        manifest = read_manifest(folder)
        lengths = np.minimum(mixed_lengths(COUNT, random), manifest.limits.max_length)
        for sequence in make_sequences(manifest, lengths, random):
            prepared.append(Prepared(wire.request(manifest.name, [sequence])))
    return prepared
